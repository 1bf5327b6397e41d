"""The grid of least squared error on the weights themselves."""

from typing import ClassVar, Literal

import numpy as np

from quant.kernel import dispatch
from quant.methods.distributions.fit import Fit
from quant.methods.distributions.sample import Sample, sample
from quant.methods.distributions.statistics import MANTISSA_BITS, RowStatistics
from quant.methods.grids.base import GridBase
from quant.methods.grids.codebook import Codebook, Rows

ROWS_AT_ONCE = 64
"""Rows whose tables of interval costs are held in memory at once."""
OCTAVES = 7
"""Octaves of the histogram below the row's largest |w| that the levels are placed on."""
_MIN_MASS = 1e-15


class KMeans(GridBase):
    """2^bits levels of least squared error on the row's own histogram, by exact dynamic programming.

    The levels are the means of the partition of the weights, zeros included, into 2^bits intervals that minimises

        sum_i sum_(w in interval i) (w - mean_i)^2

    (Wang and Song, 2011). See docs/methods.md, 'Grids and expected error'.
    """

    name: Literal["kmeans"] = "kmeans"
    widths: ClassVar[range] = range(2, 5)

    def build(self, statistics: RowStatistics, fit: Fit, clip: Rows, bits: int) -> Codebook:
        """Return levels (R, 2^bits); a row of fewer different weights repeats some. The bound is ignored."""
        return Codebook.from_levels(kmeans_levels(statistics, 2**bits))


def kmeans_levels(statistics: RowStatistics, count: int) -> Rows:
    """Return the levels (R, count), ascending, of least squared error on each row; zeros for a row of zeros."""
    levels = _compiled_levels(statistics, count) if statistics.compiled else _levels(statistics, count)
    return np.where(statistics.max_abs[:, None] > 0, levels, 0.0)


def optimal_levels(points: Sample, count: int) -> Rows:
    """Return the means (R, count), ascending, of the partition of least squared error into `count` intervals.

    Bellman's recursion over the beginning of each interval (Wang and Song, 2011) takes O(count M^2) for the M points
    of a row.
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
    return _interval_means(mass, first, begins, points)


def _compiled_levels(statistics: RowStatistics, count: int) -> Rows:
    """Return the levels (R, count) from a compiled loop."""
    levels = np.empty((len(statistics.count), count))
    dispatch.run(
        "kmeans:optimal_levels", len(levels), statistics.rows, statistics.exact_points, statistics.counts,
        statistics.edges, statistics.unit, statistics.degenerate, _zero_shares(statistics), OCTAVES << MANTISSA_BITS,
        1, levels,
    )  # fmt: skip
    return levels


def _levels(statistics: RowStatistics, count: int) -> Rows:
    """Return the levels (R, count), some rows at a time."""
    points = _with_zeros(sample(statistics, OCTAVES, 1 << MANTISSA_BITS), _zero_shares(statistics))
    parts = [
        optimal_levels(points.select_rows(np.arange(start, min(start + ROWS_AT_ONCE, len(points.unit)))), count)
        for start in range(0, len(points.unit), ROWS_AT_ONCE)
    ]
    return np.concatenate(parts) * points.unit[:, None]


def _zero_shares(statistics: RowStatistics) -> Rows:
    """Return the share (R,) of each row's weights that are zero; 0 for a row whose weights are all equal."""
    return np.where(statistics.degenerate, 0.0, statistics.zeros / statistics.count)


def _with_zeros(points: Sample, shares: Rows) -> Sample:
    """Return the sample with these shares (R,) of zeros; a row without zeros repeats its largest point."""
    zeros = np.where(shares > 0, 0.0, points.points[:, -1])[:, None]
    extended = np.concatenate([points.points, zeros], axis=1)
    masses = np.concatenate([points.shares * (1 - shares)[:, None], shares[:, None]], axis=1)
    order = extended.argsort(axis=1, kind="stable")
    ascending, masses = (np.take_along_axis(array, order, axis=1) for array in (extended, masses))
    return Sample(ascending, masses, points.unit)


def _interval_costs(mass: Rows, first: Rows, second: Rows) -> Rows:
    """Return the squared error (R, M + 1, M + 1) of points i .. j - 1 about their mean; infinite where j < i.

    The arguments are cumulative sums (R, M + 1) of the shares, and of the shares times x and x^2.
    """
    n, s, q = (prefix[:, None, :] - prefix[:, :, None] for prefix in (mass, first, second))
    cost = np.maximum(q - s**2 / np.where(n > _MIN_MASS, n, np.inf), 0)
    return np.where(np.triu(np.ones(cost.shape[1:], bool)), cost, np.inf)


def _interval_means(mass: Rows, first: Rows, begins: list[np.ndarray], points: Sample) -> Rows:
    """Return the means (R, count) of the intervals, traced back from the last; an empty one gives its first point."""
    rows = np.arange(len(mass))
    end = np.full(len(mass), mass.shape[1] - 1)
    levels = []
    for begin in [*reversed(begins), np.zeros_like(begins[0])]:
        start = begin[rows, end]
        weight = mass[rows, end] - mass[rows, start]
        mean = (first[rows, end] - first[rows, start]) / np.where(weight > _MIN_MASS, weight, np.inf)
        fallback = points.points[rows, np.minimum(start, points.points.shape[1] - 1)]
        levels.append(np.where(weight > _MIN_MASS, mean, fallback))
        end = start
    return np.sort(np.stack(levels, axis=1), axis=1)
