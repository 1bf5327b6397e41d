"""A histogram of activations that grows with the values it sees."""

import math

import numpy as np
from numpy.typing import NDArray

from quant.kernel import dispatch

HALF = 2048
"""Bins on either side of zero."""
SLAB = 1 << 16
"""Values that a thread counts by itself."""


class Histogram:
    """Equal bins over -limit .. limit, limit a power of two; zeros are not counted, since they are always exact.

    When a value lies beyond the limit, the limit doubles until it does not and bins are merged two by two, so the
    counts are those of one pass over all values at the last limit.
    """

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(2 * HALF, np.int64)
        self._limit = 0.0

    @property
    def edges(self) -> NDArray[np.float64]:
        """(2 HALF + 1,), ascending."""
        return np.arange(-HALF, HALF + 1, dtype=np.float64) * ((self._limit or 1.0) / HALF)

    def add(self, values: NDArray[np.float32], largest: float) -> None:
        """Count the finite values (n,), the largest magnitude of which is `largest`."""
        if largest == 0:
            return
        self._grow(2.0 ** math.ceil(math.log2(largest)))
        count = _count_compiled if dispatch.loaded() else _count
        self.counts += count(values, np.float32(HALF / self._limit))

    def _grow(self, limit: float) -> None:
        if self._limit == 0:
            self._limit = limit
        while self._limit < limit:
            merged = self.counts.reshape(HALF, 2).sum(axis=1)
            self.counts[:] = 0
            self.counts[HALF // 2 : HALF + HALF // 2] = merged
            self._limit *= 2


def _count(values: NDArray[np.float32], factor: np.float32) -> NDArray[np.int64]:
    """How many of the non-zero values (n,) lie in bin floor(v * factor) + HALF."""
    position = np.floor(values * factor)
    index = np.clip(position, -HALF, HALF - 1, out=position).astype(np.int32) + HALF
    counts = np.bincount(index, minlength=2 * HALF)
    counts[HALF] -= np.count_nonzero(values == 0)
    return counts


def _count_compiled(values: NDArray[np.float32], factor: np.float32) -> NDArray[np.int64]:
    """The same in threads."""
    counts = np.empty((-(-values.size // SLAB), 2 * HALF), np.int64)
    dispatch.run("activations:count", len(counts), values, SLAB, factor, counts)
    total: NDArray[np.int64] = counts.sum(axis=0)
    return total
