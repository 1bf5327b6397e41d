"""The sufficient statistic of a weight: exact moments and a histogram whose bins are the float's own leading bits."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant.errors import NonFiniteWeight

MANTISSA_BITS = 4
"""16 bins an octave: fits from the bins lose at most 4.4e-6 nats a sample."""
OCTAVES = 32
BINS = OCTAVES << MANTISSA_BITS
_SHIFT = 23 - MANTISSA_BITS


@dataclass(frozen=True)
class RowStatistics:
    """R rows of a weight, each reduced to what fits and bounds need; all of it from one pass.

    `counts` (R, 2, BINS) counts the non-zero weights, negative ones first, by the bin of |w|; bin k of both halves
    holds `edges[k] <= |w| < edges[k + 1]`, and the lowest bin everything smaller.
    """

    count: NDArray[np.int64]
    zeros: NDArray[np.int64]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    sum: NDArray[np.float64]
    sum_abs: NDArray[np.float64]
    sum_sq: NDArray[np.float64]
    counts: NDArray[np.int64]
    edges: NDArray[np.float64]

    @property
    def max_abs(self) -> NDArray[np.float64]:
        return np.maximum(-self.minimum, self.maximum)

    @property
    def nonzero(self) -> NDArray[np.int64]:
        return self.count - self.zeros


def summarise(rows: NDArray[np.float32]) -> RowStatistics:
    """Reduce float32 rows (R, n).

    Raises:
        NonFiniteWeight: a row holds NaN or infinity.
    """
    wide = rows.astype(np.float64)
    magnitude = np.abs(wide)
    largest = float(magnitude.max(initial=0))
    if not np.isfinite(largest):
        row = int(np.argmax(~np.isfinite(magnitude).all(axis=1)))
        raise NonFiniteWeight(f"row {row} of the weight holds NaN or infinity; accepted: finite weights")
    counts, edges = _histogram(rows, np.float32(largest))
    return RowStatistics(
        count=np.full(len(rows), rows.shape[1], np.int64),
        zeros=(rows == 0).sum(axis=1),
        minimum=wide.min(axis=1),
        maximum=wide.max(axis=1),
        sum=wide.sum(axis=1),
        sum_abs=magnitude.sum(axis=1),
        sum_sq=(wide**2).sum(axis=1),
        counts=counts,
        edges=edges,
    )


def _histogram(rows: NDArray[np.float32], largest: np.float32) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    top = int(largest.view(np.uint32)) >> _SHIFT
    base = max(top - BINS + 1, 0)
    bits = np.ascontiguousarray(rows).view(np.uint32)
    bins = np.maximum((bits & 0x7FFFFFFF).astype(np.int64) >> _SHIFT, base) - base
    flat = (np.arange(len(rows))[:, None] * 2 + (bits >> 31 == 0)) * BINS + bins
    counts = np.bincount(flat[rows != 0], minlength=len(rows) * 2 * BINS).reshape(len(rows), 2, BINS)
    edges = ((base + np.arange(BINS + 1, dtype=np.uint32)) << _SHIFT).astype(np.uint32).view(np.float32)
    return counts, edges.astype(np.float64)


def binned(statistics: RowStatistics) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Signed bin midpoints (2 BINS,) in ascending order, and the counts (R, 2 BINS) at them."""
    middle = (statistics.edges[:-1] + statistics.edges[1:]) / 2
    points = np.concatenate([-middle[::-1], middle])
    counts = np.concatenate([statistics.counts[:, 0, ::-1], statistics.counts[:, 1]], axis=1)
    return points, counts.astype(np.float64)
