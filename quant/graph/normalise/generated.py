"""Random inputs for a model, made from the types and shapes that it declares.

They serve to compare two forms of a model if the caller supplied no data.
"""

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

MAX_ELEMENTS = 1 << 26
"""The limit for all inputs together: a model may declare more than the memory holds."""
_BATCHES = (2, 1)
_OTHER_SIZES = (64, 512, 16_000, 224, 8)
"""Sizes for a free axis other than the batch: images, audio samples, tokens."""
_INTEGER_LIMITS = {np.dtype(np.uint8): 256}


def generated_feeds(model: ir.Model) -> Iterator[dict[str, NDArray[np.generic]]]:
    """Yield seeded random inputs by name, in several sizes; only a run shows which of them the model accepts.

    A free axis is taken for the batch if it is the first. In a second round, every free axis but the last is. Nothing
    is yielded for a model with an input of unknown rank, or of a type that NumPy does not have.
    """
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    if not all(_is_supported(value) for value in inputs):
        return
    for only_last_is_free, other, batch in product((False, True), _OTHER_SIZES, _BATCHES):
        shapes = {str(value.name): _shape(value, batch, other, only_last=only_last_is_free) for value in inputs}
        if sum(math.prod(shape) for shape in shapes.values()) <= MAX_ELEMENTS:
            yield {str(value.name): _array(value, shapes[str(value.name)]) for value in inputs}


def random_integers(generator: np.random.Generator, shape: list[int], dtype: np.dtype[Any]) -> NDArray[np.int64]:
    """Return random integers of this shape that are valid tokens and indices: below 2, or below 256 for bytes."""
    return np.asarray(generator.integers(0, _INTEGER_LIMITS.get(dtype, 2), shape))


def _is_supported(value: ir.Value) -> bool:
    """Return True if the input has a rank, and a type of at least 16 bits per float, integer or boolean."""
    dtype = value.dtype
    if value.shape is None or dtype is None:
        return False
    return (dtype.is_floating_point() and dtype.bitwidth >= 16) or dtype.is_integer() or dtype == ir.DataType.BOOL


def _shape(value: ir.Value, batch: int, other: int, *, only_last: bool) -> list[int]:
    """Return the declared shape with `batch` or `other` for each free axis.

    `other` stands for the free axes but the first, or with `only_last` for the last axis only.
    """
    assert value.shape is not None, "supported inputs have a rank"
    last = len(value.shape) - 1
    return [
        size if isinstance(size, int) and size > 0 else (other if axis and (axis == last or not only_last) else batch)
        for axis, size in enumerate(value.shape)
    ]


def _array(value: ir.Value, shape: list[int]) -> NDArray[np.generic]:
    assert value.dtype is not None, "supported inputs have a type"
    generator = np.random.default_rng(0)
    dtype = value.dtype.numpy()
    if value.dtype.is_floating_point():
        return np.asarray(generator.standard_normal(shape, np.float32)).astype(dtype, copy=False)
    return random_integers(generator, shape, dtype).astype(dtype, copy=False)
