"""A row's non-zero weights as weighted points: the weights themselves where they are few, else histogram bins."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant.methods.distributions.statistics import BINS, MANTISSA_BITS, RowStatistics


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

    def point(self, share: float) -> NDArray[np.float64]:
        """The point (R,) that this share of each row's weights reaches to."""
        return self.points[np.arange(len(self.points)), self._reaches(share)[1]]

    def quantile(self, share: float) -> NDArray[np.float64]:
        """Where this share of each row's weights lies below (R,), interpolated between the points beside it."""
        reached, at = self._reaches(share)
        rows = np.arange(len(at))
        inside = np.maximum(self.shares[rows, at], 1e-300)
        below = (self.points[rows, np.maximum(at - 1, 0)] + self.points[rows, at]) / 2
        above = (self.points[rows, np.minimum(at + 1, self.points.shape[1] - 1)] + self.points[rows, at]) / 2
        quantile: NDArray[np.float64] = below + (above - below) * (share - reached[rows, at] + inside) / inside
        return quantile

    def _reaches(self, share: float) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """The shares up to each point (R, M), and the first point (R,) that they reach `share` at."""
        reached = self.shares.cumsum(axis=1)
        return reached, (reached >= share * (1 - 1e-12)).argmax(axis=1)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "Sample":
        return Sample(self.points[rows], self.shares[rows], self.unit[rows])


FIT_OCTAVES = 16
"""What is smaller than 2^-16 of its row's largest weight is one point to a fit."""
SHORT_ROW = 512
ERROR_OCTAVES = 8
"""What is smaller than 2^-8 of its row's largest weight adds to an error as if evenly spread below that."""


def fit_sample(statistics: RowStatistics) -> Sample:
    """The points that the fits iterate over: the weights themselves where they are few, else bins.

    8 bins an octave, from which fits lose at most 3.5e-5 nats a sample against the weights themselves for n >= 576; 16
    where rows are so short that a bin's place counts.
    """
    return sample(statistics, FIT_OCTAVES, bins_an_octave(statistics))


def sample(statistics: RowStatistics, octaves: int, an_octave: int) -> Sample:
    """The weights themselves where they are few, else so many octaves of the histogram."""
    return _few_weights(statistics) if statistics.few else compress(statistics, octaves, an_octave)


def bins_an_octave(statistics: RowStatistics) -> int:
    return 16 if statistics.rows.shape[1] < SHORT_ROW else 8


def _few_weights(statistics: RowStatistics) -> Sample:
    """The non-zero weights; the places of zeros repeat the largest weight with a share of 0."""
    unit = statistics.unit
    points = statistics.rows / unit[:, None]
    points = np.where(statistics.rows == 0, np.inf, points)
    points.sort(axis=1)
    used = np.isfinite(points)
    shares = used / np.maximum(statistics.nonzero, 1)[:, None]
    return _stand_in(statistics, np.where(used, points, (statistics.maximum / unit)[:, None]), shares)


def compress(statistics: RowStatistics, octaves: int, an_octave: int) -> Sample:
    """The histogram as few points: so many octaves down from each row's own largest weight, the rest in the last."""
    merged = (1 << MANTISSA_BITS) // an_octave
    bins = BINS // merged
    counts = statistics.counts.reshape(*statistics.counts.shape[:2], bins, merged).sum(axis=3)
    middle = (statistics.edges[:-1:merged] + statistics.edges[merged::merged]) / 2
    width = octaves * an_octave
    columns = _top_bin(counts.sum(axis=1))[:, None] - np.arange(width)[::-1]
    window = np.take_along_axis(counts, np.maximum(columns, 0)[:, None], axis=2).astype(np.float64)
    window *= (columns >= 0)[:, None]
    window[:, :, 0] += counts.sum(axis=2) - window.sum(axis=2)
    points = middle[np.maximum(columns, 0)] / statistics.unit[:, None]
    points = np.concatenate([-points[:, ::-1], points], axis=1)
    shares = np.concatenate([window[:, 0, ::-1], window[:, 1]], axis=1)
    return _stand_in(statistics, points, shares / np.maximum(statistics.nonzero, 1)[:, None])


def _stand_in(statistics: RowStatistics, points: NDArray[np.float64], shares: NDArray[np.float64]) -> Sample:
    """The sample, with -1 and 1 in place of rows that have no two different non-zero weights."""
    degenerate, half = statistics.degenerate, points.shape[1] // 2
    points[degenerate] = np.where(np.arange(points.shape[1]) < half, -1, 1)
    shares[degenerate] = 0
    shares[degenerate, half - 1] += 0.5
    shares[degenerate, half] += 0.5
    return Sample(points, shares, statistics.unit)


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
    columns = _top_bin(counts)[:, None] - np.arange(width)[::-1]
    shares = np.take_along_axis(counts, np.maximum(columns, 0), axis=1).astype(np.float64) * (columns >= 0)
    shares[:, 0] += counts.sum(axis=1) - shares.sum(axis=1)
    edges = np.where(columns > 0, statistics.edges[np.maximum(columns, 0)], 0)
    edges[:, 0] = 0
    edges = np.concatenate([edges, statistics.max_abs[:, None]], axis=1)
    return edges, shares / np.maximum(statistics.nonzero, 1)[:, None]
