"""A histogram of activations whose limit grows with the values."""

import math

import numpy as np
from numpy.typing import NDArray

from quant.kernel import dispatch

HALF = 2048
"""The number of bins on either side of zero."""
SLAB = 1 << 16
"""The number of values that one thread counts at a time."""


class Histogram:
    """Counts of non-zero values in equal bins from -limit to limit, where the limit is a power of two.

    Zeros are not counted, because zero is always represented exactly. When a value lies beyond the limit, the limit
    doubles until it does not, and bins are merged two by two. The counts therefore equal those of one pass over all
    values with the final limit.

    Attributes:
        counts: the number of values in each bin (2 HALF,), int64.
    """

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(2 * HALF, np.int64)
        self._limit = 0.0

    @property
    def edges(self) -> NDArray[np.float64]:
        """The edges of the bins (2 HALF + 1,), ascending, in the tensor's unit."""
        return np.arange(-HALF, HALF + 1, dtype=np.float64) * ((self._limit or 1.0) / HALF)

    def add(self, values: NDArray[np.float32], largest: float) -> None:
        """Count the finite values (n,), whose largest magnitude is `largest`."""
        if largest == 0:
            return
        self._grow(2.0 ** math.ceil(math.log2(largest)))
        count = _count_compiled if dispatch.loaded() else _count
        self.counts += count(values, np.float32(HALF / self._limit))

    def plus(self, other: "Histogram") -> "Histogram":
        """Return the counts of the values of both histograms."""
        total, addend = Histogram(), Histogram()
        for histogram, source in ((total, self), (addend, other)):
            histogram.counts, histogram._limit = source.counts.copy(), source._limit
        if total._limit and addend._limit:
            addend._grow(total._limit)
        total._grow(addend._limit)
        total.counts += addend.counts
        return total

    def _grow(self, limit: float) -> None:
        """Double the limit until it is at least `limit`."""
        if self._limit == 0:
            self._limit = limit
        while self._limit < limit:
            merged = self.counts.reshape(HALF, 2).sum(axis=1)
            self.counts[:] = 0
            self.counts[HALF // 2 : HALF + HALF // 2] = merged
            self._limit *= 2


def _count(values: NDArray[np.float32], factor: np.float32) -> NDArray[np.int64]:
    """Return the number of non-zero values v (n,) in each bin floor(v * factor) + HALF."""
    position = np.floor(values * factor)
    index = np.clip(position, -HALF, HALF - 1, out=position).astype(np.int32) + HALF
    counts = np.bincount(index, minlength=2 * HALF)
    counts[HALF] -= np.count_nonzero(values == 0)
    return counts


def _count_compiled(values: NDArray[np.float32], factor: np.float32) -> NDArray[np.int64]:
    """Return the same counts, computed by compiled threads."""
    counts = np.empty((-(-values.size // SLAB), 2 * HALF), np.int64)
    dispatch.run("activations:count", len(counts), values, SLAB, factor, counts)
    total: NDArray[np.int64] = counts.sum(axis=0)
    return total
