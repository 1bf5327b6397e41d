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
    holds `edges[k] <= |w| < edges[k + 1]`, and the lowest bin everything smaller. `rows` are the weights themselves,
    not a copy, for the few rules that measure on them.
    """

    rows: NDArray[np.float32]
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
        rows=rows,
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
    base = max((top | 1) - BINS + 1, 0)  # even, so that pairs of bins are the same bits in every layer
    bits = np.ascontiguousarray(rows).view(np.uint32)
    bins = np.maximum((bits & 0x7FFFFFFF).astype(np.int64) >> _SHIFT, base) - base
    flat = (np.arange(len(rows))[:, None] * 2 + (bits >> 31 == 0)) * BINS + bins
    counts = np.bincount(flat[rows != 0], minlength=len(rows) * 2 * BINS).reshape(len(rows), 2, BINS)
    edges = ((base + np.arange(BINS + 1, dtype=np.uint32)) << _SHIFT).astype(np.uint32).view(np.float32)
    return counts, edges.astype(np.float64)


@dataclass(frozen=True)
class Sample:
    """Each row's non-zero weights as M points with their shares (R, M): ascending, shares add up to 1.

    Points are in units of the row's largest |w|, `unit` (R,), so that no square leaves the range of a double. Rows
    without two different non-zero weights are stood in for by -1 and 1, so that fits stay finite.
    """

    points: NDArray[np.float64]
    shares: NDArray[np.float64]
    unit: NDArray[np.float64]

    def mean(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mean (R,) over the sample of a function's values (R, M) at the points."""
        mean: NDArray[np.float64] = np.einsum("rm,rm->r", self.shares, values)
        return mean

    def quantile(self, share: float) -> NDArray[np.float64]:
        """Where this share of each row's weights lies below (R,), interpolated between the points beside it."""
        reached = self.shares.cumsum(axis=1)
        at = (reached >= share * (1 - 1e-12)).argmax(axis=1)
        rows = np.arange(len(at))
        inside = np.maximum(self.shares[rows, at], 1e-300)
        below = (self.points[rows, np.maximum(at - 1, 0)] + self.points[rows, at]) / 2
        above = (self.points[rows, np.minimum(at + 1, self.points.shape[1] - 1)] + self.points[rows, at]) / 2
        quantile: NDArray[np.float64] = below + (above - below) * (share - reached[rows, at] + inside) / inside
        return quantile

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "Sample":
        return Sample(self.points[rows], self.shares[rows], self.unit[rows])


FIT_OCTAVES = 12
"""What is smaller than 2^-12 of its row's largest weight is one point to a fit."""
SHORT_ROW = 512
ERROR_OCTAVES = 8
"""What is smaller than 2^-8 of its row's largest weight adds to an error as if evenly spread below that."""


def fit_sample(statistics: RowStatistics) -> Sample:
    """The points that the fits iterate over: 8 an octave, 16 where rows are so short that a bin's place counts.

    Fits from 8 bins an octave lose at most 3.5e-5 nats a sample against the weights themselves for n >= 576.
    """
    short = int(statistics.nonzero.max(initial=0)) < SHORT_ROW
    return compress(statistics, FIT_OCTAVES, 16 if short else 8)


def compress(statistics: RowStatistics, octaves: int, an_octave: int) -> Sample:
    """The histogram as few points: so many octaves down from each row's own largest weight, the rest in the last."""
    merged = (1 << MANTISSA_BITS) // an_octave
    bins = BINS // merged
    counts = statistics.counts.reshape(*statistics.counts.shape[:2], bins, merged).sum(axis=3)
    middle = (statistics.edges[:-1:merged] + statistics.edges[merged::merged]) / 2
    width = octaves * an_octave
    columns = np.maximum(_top_bin(counts.sum(axis=1))[:, None] - np.arange(width)[::-1], 0)
    window = np.take_along_axis(counts, columns[:, None], axis=2).astype(np.float64)
    window[:, :, 0] += counts.sum(axis=2) - window.sum(axis=2)
    unit = np.where(statistics.max_abs > 0, statistics.max_abs, 1.0)
    points = middle[columns] / unit[:, None]
    points = np.concatenate([-points[:, ::-1], points], axis=1)
    shares = np.concatenate([window[:, 0, ::-1], window[:, 1]], axis=1)
    degenerate = (statistics.minimum == statistics.maximum) | (statistics.nonzero == 0)
    stand_in = np.zeros(2 * width)
    stand_in[[0, -1]] = 0.5
    shares = np.where(degenerate[:, None], stand_in, shares / np.maximum(statistics.nonzero, 1)[:, None])
    points[degenerate] = np.linspace(-1, 1, 2 * width)
    return Sample(points, shares, unit)


def _top_bin(counts: NDArray[np.int64]) -> NDArray[np.intp]:
    """The highest bin (R,) that holds a weight, of counts (R, B); the last where none does."""
    occupied = counts > 0
    last = counts.shape[1] - 1
    top: NDArray[np.intp] = np.where(occupied.any(axis=1), last - occupied[:, ::-1].argmax(axis=1), last)
    return top


def binned(statistics: RowStatistics) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Signed midpoints (M,) of the bins, ascending, their upper edges (M,), and the counts (R, M) in them.

    Bins beyond the outermost and below the innermost that any row uses are left out.
    """
    used = np.flatnonzero(statistics.counts.any(axis=(0, 1)))
    low, high = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 1)
    edges, counts = statistics.edges[low : high + 1], statistics.counts[:, :, low:high]
    middle = (edges[:-1] + edges[1:]) / 2
    points = np.concatenate([-middle[::-1], middle])
    upper = np.concatenate([-edges[-2::-1], edges[1:]])
    return points, upper, np.concatenate([counts[:, 0, ::-1], counts[:, 1]], axis=1).astype(np.float64)


def folded(statistics: RowStatistics) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Midpoints (BINS,) of the bins of |w|, ascending, and the counts (R, BINS) in them."""
    return (statistics.edges[:-1] + statistics.edges[1:]) / 2, statistics.counts.sum(axis=1).astype(np.float64)


def folded_shares(statistics: RowStatistics) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Edges (R, M + 1) and shares (R, M) of |w| in the octaves below each row's largest; the first bin begins at 0.

    The last edge is the largest |w| itself, so that a bin reaches no further than its weights.
    """
    counts = statistics.counts.sum(axis=1)
    width = ERROR_OCTAVES << MANTISSA_BITS
    columns = np.maximum(_top_bin(counts)[:, None] - np.arange(width)[::-1], 0)
    shares = np.take_along_axis(counts, columns, axis=1).astype(np.float64)
    shares[:, 0] += counts.sum(axis=1) - shares.sum(axis=1)
    edges = np.concatenate([statistics.edges[columns], statistics.max_abs[:, None]], axis=1)
    edges[:, 0] = 0
    return edges, shares / np.maximum(statistics.nonzero, 1)[:, None]
