"""Inputs on which models are timed: samples of a dataset, or random values of the sizes that the model declares."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.data.dataset import BATCH, Dataset
from quant.runtime import Feeds

SEED = 0
"""The seed of random inputs."""
NO_INPUTS = (
    "there is no data, and an input has an unknown type, or an unknown size on an axis other than the first; accepted: "
    "a calibration or an evaluation dataset"
)
"""The reason why a model cannot be timed if it has no inputs to be timed on."""


@dataclass(frozen=True)
class TimedInputs:
    """The feeds of one batch, its number of samples, and the feeds of one sample.

    `single` is None where the model takes a fixed batch, or where the batch is one sample.
    """

    batch: Feeds
    samples: int
    single: Feeds | None


def timed_inputs(model: ir.Model, dataset: Dataset | None) -> TimedInputs | None:
    """Return inputs for a model; None without a dataset if a type or a size other than the first is not known."""
    return _random(model) if dataset is None else _of_dataset(dataset)


def _of_dataset(dataset: Dataset) -> TimedInputs:
    samples = dataset.sizes[0]
    single = dataset.singly()
    alone = next(single.batches()) if samples > 1 and single.batch == 1 else None
    return TimedInputs(next(dataset.batches()), samples, alone)


def _random(model: ir.Model) -> TimedInputs | None:
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    batch, single = (_complete({str(v.name): random_values(v, size) for v in inputs}) for size in (BATCH, 1))
    if batch is None or single is None:
        return None
    free = any(_first_is_free(value) for value in inputs)
    return TimedInputs(batch, BATCH, single) if free else TimedInputs(batch, 1, None)


def random_values(value: ir.Value, batch: int) -> NDArray[np.generic] | None:
    """Return normal values for an input, zeros for one that is not of floats; a free first size becomes `batch`.

    Returns None if the type or another size is not known.
    """
    if value.shape is None or value.dtype is None or value.dtype == ir.DataType.STRING:
        return None
    sizes = [batch if axis == 0 and _first_is_free(value) else size for axis, size in enumerate(value.shape)]
    shape = [size for size in sizes if isinstance(size, int) and size > 0]
    if len(shape) < len(sizes):
        return None
    dtype = value.dtype.numpy()
    if value.dtype.is_floating_point():
        return np.random.default_rng(SEED).standard_normal(shape).astype(dtype)
    return np.zeros(shape, dtype)


def _first_is_free(value: ir.Value) -> bool:
    """Return True if the first size of an input is not fixed; some exporters write -1 for it."""
    if value.shape is None or not len(value.shape):
        return False
    size = value.shape[0]
    return not isinstance(size, int) or size < 1


def _complete(arrays: Mapping[str, NDArray[np.generic] | None]) -> Feeds | None:
    complete = {name: array for name, array in arrays.items() if array is not None}
    return complete if len(complete) == len(arrays) else None
