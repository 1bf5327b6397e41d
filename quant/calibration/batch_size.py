"""The batch size that a model accepts. A model may declare a free batch size and yet run with one size only.

Rules, for a model whose inputs declare a free batch:

1. A model that runs with 2 samples and with 1, with the samples side by side in every output, takes any size.
2. A model that runs with 1 sample only, or that puts the values of several samples into one row of an output, gets its
   samples one by one.
3. A model that runs with neither 1 nor 2 samples gets batches of the first size with which it runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant.data.dataset import BATCH, Dataset
from quant.data.findings import DataFinding
from quant.errors import ModelError
from quant.evaluation.sqnr import sqnr_db
from quant.runtime import Session

Outputs = Sequence[NDArray[np.generic]]

OTHER_SIZES = (BATCH, 16, 32, 64, 128, *(size for size in range(3, 65) if size not in (BATCH, 16, 32, 64)))
"""The sizes that are tried, in order, for a model that runs neither with 1 sample nor with 2."""
SAME_DB = 40.0
"""The least SQNR in dB of a sample's outputs alone against those among others. Kernels for other shapes round
differently, and their SQNR is above 80 dB, in FP16 above 50; a softmax over the batch reaches less than 10."""


@dataclass(frozen=True)
class BatchSize:
    """The batch size that a model takes.

    Attributes:
        outputs: the float model's outputs for the first samples.
        size: the only size that it takes; None if it takes any.
        finding: what the owner of the model has to know about it.
    """

    outputs: Outputs
    size: int | None = None
    finding: DataFinding | None = None

    def applied(self, data: Dataset | None) -> Dataset | None:
        """Return the data set in batches that the model takes.

        Raises:
            InputMismatch: it has fewer samples than one batch.
        """
        return data if data is None or self.size is None else data.in_batches_of(self.size)


def find_batch_size(session: Session, data: Dataset) -> BatchSize:
    """Return the batch size that the model of `session` takes, from runs over the first samples of a set.

    Raises:
        ModelError: the model runs with no number of samples.
    """
    if data.fixed:
        return BatchSize(session.run(next(data.batches())))
    try:
        alone = session.run(data.first(1))
    except ModelError as failure:
        return _only_size(session, data, failure)
    if data.longest_run < 2:
        return BatchSize(alone)
    try:
        pair = session.run(data.first(2))
    except ModelError:
        return BatchSize(alone, 1, _one_by_one("it does not run with several samples at once"))
    return _judged(session, data, alone, pair)


def _only_size(session: Session, data: Dataset, failure: ModelError) -> BatchSize:
    """Return the first size with which the model runs; `failure` is the error of the run with one sample."""
    for size in (2, *OTHER_SIZES):
        if size > data.longest_run:
            continue
        try:
            outputs = session.run(data.first(size))
        except ModelError:
            continue
        if size == 2 and _runs(session, data, BATCH):
            size = BATCH
        return BatchSize(outputs, size, _only(size, "it does not run with one sample"))
    raise failure


def _runs(session: Session, data: Dataset, size: int) -> bool:
    """Return True if the set has so many samples and the model runs with them."""
    try:
        return data.longest_run >= size and bool(session.run(data.first(size)))
    except ModelError:
        return False


def _judged(session: Session, data: Dataset, alone: Outputs, pair: Outputs) -> BatchSize:
    """Return the batch size of a model that runs with one sample and with two."""
    arrays = [(a, b) for a, b in zip(alone, pair, strict=True) if isinstance(a, np.ndarray)]
    if any(_joins_samples(a, b) for a, b in arrays):
        return BatchSize(alone, 1, _one_by_one("it puts the values of all samples into one row of an output"))
    if any(a.ndim != b.ndim for a, b in arrays):
        size = min(BATCH, data.longest_run)
        return BatchSize(pair, size, _only(size, "an output has fewer axes for one sample than for several"))
    if any(_depends(a, b) for a, b in arrays) and _repeats(session, data, pair):
        return BatchSize(pair, None, DataFinding(
            "dataset.samples_interact",
            "the outputs for a sample depend on the other samples of its batch, so the figures hold for batches of "
            f"{min(data.batch, data.longest_run)}; if the first axis of an input does not count samples, give arrays "
            "with one axis more: a complete value of each input for each sample",
        ))  # fmt: skip
    return BatchSize(pair)


def _joins_samples(alone: NDArray[np.generic], pair: NDArray[np.generic]) -> bool:
    """Return True if the samples are joined along an axis other than the output's batch axis of size 1."""
    joined = alone.ndim == pair.ndim > 0 and len(alone) == len(pair) == 1 and pair.size == 2 * alone.size
    return joined and _batch_axis(alone, pair) is None


def _batch_axis(alone: NDArray[np.generic], pair: NDArray[np.generic]) -> int | None:
    """Return the only axis along which the outputs for 1 and 2 samples differ in size, 1 and 2; None if there is none.

    An output of one value per sample may have either axis; the first one counts.
    """
    axes = [axis for axis in range(alone.ndim) if alone.shape[axis] != pair.shape[axis]]
    if len(axes) != 1 or (alone.shape[axes[0]], pair.shape[axes[0]]) != (1, 2):
        return None
    return axes[0]


def _depends(alone: NDArray[np.generic], pair: NDArray[np.generic]) -> bool:
    """Return True if the first sample's values in an output differ when a second sample is in the batch."""
    axis = _batch_axis(alone, pair)
    if axis is None or alone.dtype.kind != "f":
        return False
    x, y = (value.take(0, axis).astype(np.float64).reshape(-1) for value in (alone, pair))
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    return sqnr_db(float(x @ x), float((x - y) @ (x - y))) < SAME_DB and bool((x != y).any())


def _repeats(session: Session, data: Dataset, pair: Outputs) -> bool:
    """Return True if the model gives the same outputs again: one with random operators does not."""
    again = session.run(data.first(2))
    return all(np.array_equal(a, b) for a, b in zip(pair, again, strict=True) if isinstance(a, np.ndarray))


def _one_by_one(reason: str) -> DataFinding:
    return DataFinding(
        "dataset.sample_by_sample",
        f"the samples are run one by one: the model declares a free batch size, but {reason}",
    )


def _only(size: int, reason: str) -> DataFinding:
    return DataFinding(
        "dataset.only_batch_size",
        f"the samples are run in batches of exactly {size}: the model declares a free batch size, but {reason}",
    )
