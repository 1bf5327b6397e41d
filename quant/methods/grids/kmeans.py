"""The levels of least squared error on the weights themselves."""

from typing import ClassVar, Literal

import numpy as np

from quant.kernel import dispatch
from quant.methods.distributions.fit import Fit
from quant.methods.distributions.sample import Sample, sample
from quant.methods.distributions.statistics import MANTISSA_BITS, RowStatistics
from quant.methods.grids.base import GridBase
from quant.methods.grids.codebook import Codebook, Rows

ROWS_AT_ONCE = 64
OCTAVES = 7


class KMeans(GridBase):
    """2^bits levels of least squared error on the row's own histogram, by exact dynamic programming."""

    name: Literal["kmeans"] = "kmeans"
    widths: ClassVar[range] = range(2, 5)

    def build(self, statistics: RowStatistics, fit: Fit, clip: Rows, bits: int) -> Codebook:
        """Levels (R, 2^bits); a row of fewer different weights repeats some."""
        return Codebook.nearest(kmeans_levels(statistics, 2**bits))


def kmeans_levels(statistics: RowStatistics, count: int) -> Rows:
    """The levels (R, count), ascending, of least squared error on each row; zeros for a row of zeros."""
    levels = _compiled(statistics, count) if statistics.compiled else _levels(statistics, count)
    return np.where(statistics.max_abs[:, None] > 0, levels, 0.0)


def _compiled(statistics: RowStatistics, count: int) -> Rows:
    levels = np.empty((len(statistics.count), count))
    dispatch.run(
        "kmeans:optimal_levels", len(levels), statistics.rows, statistics.few, statistics.counts, statistics.edges,
        statistics.unit, statistics.degenerate, OCTAVES << MANTISSA_BITS, 1, levels,
    )  # fmt: skip
    return levels


def _levels(statistics: RowStatistics, count: int) -> Rows:
    points = sample(statistics, OCTAVES, 1 << MANTISSA_BITS)
    parts = [
        optimal_levels(points.take(np.arange(start, min(start + ROWS_AT_ONCE, len(points.unit)))), count)
        for start in range(0, len(points.unit), ROWS_AT_ONCE)
    ]
    return np.concatenate(parts) * points.unit[:, None]


def optimal_levels(points: Sample, count: int) -> Rows:
    """The means (R, count), ascending, of the partition of the points into `count` intervals of least squared error.

    Bellman's recursion over where each interval begins (Wang and Song, 2011): O(count M^2) a row.
    """
    mass = np.pad(points.shares, ((0, 0), (1, 0))).cumsum(axis=1)
    first = np.pad(points.shares * points.points, ((0, 0), (1, 0))).cumsum(axis=1)
    second = np.pad(points.shares * points.points**2, ((0, 0), (1, 0))).cumsum(axis=1)
    cost = _interval_costs(mass, first, second)
    best = cost[:, 0]
    begins = []
    for _ in range(count - 1):
        extended = best[:, :, None] + cost
        begin = extended.argmin(axis=1)
        begins.append(begin)
        best = np.take_along_axis(extended, begin[:, None], axis=1)[:, 0]
    return _means(mass, first, begins, points)


def _interval_costs(mass: Rows, first: Rows, second: Rows) -> Rows:
    """The squared error (R, M + 1, M + 1) of points i .. j - 1 about their mean; infinite where j < i."""
    n, s, q = (prefix[:, None, :] - prefix[:, :, None] for prefix in (mass, first, second))
    cost = np.maximum(q - s**2 / np.where(n > 1e-15, n, np.inf), 0)
    return np.where(np.triu(np.ones(cost.shape[1:], bool)), cost, np.inf)


def _means(mass: Rows, first: Rows, begins: list[np.ndarray], points: Sample) -> Rows:
    rows = np.arange(len(mass))
    end = np.full(len(mass), mass.shape[1] - 1)
    levels = []
    for begin in [*reversed(begins), np.zeros_like(begins[0])]:
        start = begin[rows, end]
        weight = mass[rows, end] - mass[rows, start]
        mean = (first[rows, end] - first[rows, start]) / np.where(weight > 1e-15, weight, np.inf)
        fallback = points.points[rows, np.minimum(start, points.points.shape[1] - 1)]
        levels.append(np.where(weight > 1e-15, mean, fallback))
        end = start
    return np.sort(np.stack(levels, axis=1), axis=1)
