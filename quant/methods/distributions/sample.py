"""Samples of a row's non-zero weights as weighted points: the weights of short rows, the bins of long ones."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant.methods.distributions.statistics import BINS, MANTISSA_BITS, RowStatistics

FIT_OCTAVES = 16
"""Octaves that a fit resolves: weights below 2^-16 of their row's largest are one point to it."""
ERROR_OCTAVES = 8
"""Octaves that an error measured on bins resolves: smaller weights count as if spread evenly below 2^-8 of the
largest."""
SHORT_ROW = 512
"""Length below which a row gets 16 instead of 8 bins an octave in a fit: the place of a bin then matters."""


@dataclass(frozen=True)
class Sample:
    """Weighted points that stand for the non-zero weights of R rows.

    Rows without two different non-zero weights are replaced by the points -1 and 1, so that fits stay finite.

    Attributes:
        points: Points (R, M), ascending, in units of the row's largest |w|, so that squares stay within a double.
        shares: Share of the row's non-zero weights at each point (R, M); they add up to 1.
        unit: The row's largest |w| (R,), 1 for a row of zeros.
    """

    points: NDArray[np.float64]
    shares: NDArray[np.float64]
    unit: NDArray[np.float64]

    def mean(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean (R,) over the sample of a function whose values at the points are (R, M)."""
        mean: NDArray[np.float64] = np.einsum("rm,rm->r", self.shares, values)
        return mean

    def point(self, share: float) -> NDArray[np.float64]:
        """Return the first point (R,) at or below which this share of the row's weights lies."""
        return self.points[np.arange(len(self.points)), self._reach(share)[1]]

    def quantile(self, share: float) -> NDArray[np.float64]:
        """Return the value (R,) below which this share of the row's weights lies, interpolated between points."""
        cumulative, at = self._reach(share)
        rows = np.arange(len(at))
        inside = np.maximum(self.shares[rows, at], 1e-300)
        below = (self.points[rows, np.maximum(at - 1, 0)] + self.points[rows, at]) / 2
        above = (self.points[rows, np.minimum(at + 1, self.points.shape[1] - 1)] + self.points[rows, at]) / 2
        quantile: NDArray[np.float64] = below + (above - below) * (share - cumulative[rows, at] + inside) / inside
        return quantile

    def select_rows(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "Sample":
        """Return the sample of the rows in a mask (R,) or a list of row numbers."""
        return Sample(self.points[rows], self.shares[rows], self.unit[rows])

    def _reach(self, share: float) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Return the cumulative shares (R, M) and the number (R,) of the first point where they reach `share`."""
        cumulative = self.shares.cumsum(axis=1)
        return cumulative, (cumulative >= share * (1 - 1e-12)).argmax(axis=1)


def fit_sample(statistics: RowStatistics) -> Sample:
    """Return the points that fits iterate over: the weights of short rows, the bins of long ones.

    With 8 bins an octave, fits lose at most 3.5e-5 nats a sample against the weights themselves for n >= 576.
    """
    return sample(statistics, FIT_OCTAVES, fit_bins_per_octave(statistics))


def sample(statistics: RowStatistics, octaves: int, bins_per_octave: int) -> Sample:
    """Return the weights of short rows as points, or `octaves` octaves of the histogram of long ones."""
    return (
        _sample_weights(statistics) if statistics.exact_points else _sample_bins(statistics, octaves, bins_per_octave)
    )


def fit_bins_per_octave(statistics: RowStatistics) -> int:
    """Return how many bins an octave has in a fit: 16 for rows of fewer than SHORT_ROW weights, else 8."""
    return 16 if statistics.rows.shape[1] < SHORT_ROW else 8


def signed_bins(statistics: RowStatistics) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return signed midpoints (M,) of the bins, ascending, their upper edges (M,) and the counts (R, M) in them.

    Bins beyond the outermost and below the innermost that any row uses are left out.
    """
    used = np.flatnonzero(statistics.counts.any(axis=(0, 1)))
    low, high = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 1)
    edges, counts = statistics.edges[low : high + 1], statistics.counts[:, :, low:high]
    middle = (edges[:-1] + edges[1:]) / 2
    points = np.concatenate([-middle[::-1], middle])
    upper = np.concatenate([-edges[-2::-1], edges[1:]])
    return points, upper, np.concatenate([counts[:, 0, ::-1], counts[:, 1]], axis=1).astype(np.float64)


def magnitude_bins(statistics: RowStatistics) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the midpoints (BINS,) of the bins of |w|, ascending, and the counts (R, BINS) in them."""
    return (statistics.edges[:-1] + statistics.edges[1:]) / 2, statistics.counts.sum(axis=1).astype(np.float64)


def magnitude_shares(statistics: RowStatistics) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return edges (R, M + 1) and shares (R, M) of |w| in the ERROR_OCTAVES octaves below each row's largest weight.

    The first bin begins at 0. The last edge is the largest |w| itself, so that no bin reaches beyond its weights.
    """
    counts = statistics.counts.sum(axis=1)
    width = ERROR_OCTAVES << MANTISSA_BITS
    columns = _top_bin(counts)[:, None] - np.arange(width)[::-1]
    shares = np.take_along_axis(counts, np.maximum(columns, 0), axis=1).astype(np.float64) * (columns >= 0)
    shares[:, 0] += counts.sum(axis=1) - shares.sum(axis=1)
    edges = np.where(columns > 0, statistics.edges[np.maximum(columns, 0)], 0)
    edges[:, 0] = 0
    edges = np.concatenate([edges, statistics.max_abs[:, None]], axis=1)
    return edges, shares / np.maximum(statistics.nonzero, 1)[:, None]


def _sample_weights(statistics: RowStatistics) -> Sample:
    """Return the non-zero weights as points; a zero's place repeats the largest weight with a share of 0."""
    unit = statistics.unit
    points = statistics.rows / unit[:, None]
    points = np.where(statistics.rows == 0, np.inf, points)
    points.sort(axis=1)
    used = np.isfinite(points)
    shares = used / np.maximum(statistics.nonzero, 1)[:, None]
    return _replace_degenerate(statistics, np.where(used, points, (statistics.maximum / unit)[:, None]), shares)


def _sample_bins(statistics: RowStatistics, octaves: int, bins_per_octave: int) -> Sample:
    """Return merged bins as points: `octaves` octaves down from each row's largest weight, smaller ones in the last."""
    merged = (1 << MANTISSA_BITS) // bins_per_octave
    bins = BINS // merged
    counts = statistics.counts.reshape(*statistics.counts.shape[:2], bins, merged).sum(axis=3)
    middle = (statistics.edges[:-1:merged] + statistics.edges[merged::merged]) / 2
    width = octaves * bins_per_octave
    columns = _top_bin(counts.sum(axis=1))[:, None] - np.arange(width)[::-1]
    window = np.take_along_axis(counts, np.maximum(columns, 0)[:, None], axis=2).astype(np.float64)
    window *= (columns >= 0)[:, None]
    window[:, :, 0] += counts.sum(axis=2) - window.sum(axis=2)
    points = middle[np.maximum(columns, 0)] / statistics.unit[:, None]
    points = np.concatenate([-points[:, ::-1], points], axis=1)
    shares = np.concatenate([window[:, 0, ::-1], window[:, 1]], axis=1)
    return _replace_degenerate(statistics, points, shares / np.maximum(statistics.nonzero, 1)[:, None])


def _replace_degenerate(statistics: RowStatistics, points: NDArray[np.float64], shares: NDArray[np.float64]) -> Sample:
    """Return the sample with the points -1 and 1 for rows that have no two different non-zero weights."""
    if points.shape[1] == 1:
        points, shares = (np.pad(array, ((0, 0), (0, 1))) for array in (points, shares))
    degenerate, half = statistics.degenerate, points.shape[1] // 2
    points[degenerate] = np.where(np.arange(points.shape[1]) < half, -1, 1)
    shares[degenerate] = 0
    shares[degenerate, half - 1] += 0.5
    shares[degenerate, half] += 0.5
    return Sample(points, shares, statistics.unit)


def _top_bin(counts: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the highest bin (R,) that holds a weight, from counts (R, B); the last bin where none does."""
    occupied = counts > 0
    last = counts.shape[1] - 1
    top: NDArray[np.intp] = np.where(occupied.any(axis=1), last - occupied[:, ::-1].argmax(axis=1), last)
    return top
