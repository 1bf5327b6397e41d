"""The partition of a row's weights into intervals of least squared error about their means."""

import numpy as np

from quant.methods.distributions.sample import Sample
from quant.methods.grids.codebook import Rows

_MIN_MASS = 1e-15


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
