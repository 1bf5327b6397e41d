"""The levels of least mean squared error under the fitted distribution."""

from typing import ClassVar, Literal

import numpy as np

from quant.methods.distributions.fit import Fit
from quant.methods.distributions.fitted import Fitted
from quant.methods.distributions.statistics import RowStatistics
from quant.methods.grids.base import GridBase
from quant.methods.grids.codebook import Codebook, Rows
from quant.methods.grids.kmeans import kmeans_levels

ITERATIONS = 40
TOLERANCE = 1e-11


class LloydMax(GridBase):
    """2^bits levels at the means of their cells under the fitted distribution (Max, 1960; Lloyd, 1982)."""

    name: Literal["lloyd_max"] = "lloyd_max"
    widths: ClassVar[range] = range(2, 7)

    def build(self, statistics: RowStatistics, fit: Fit, clip: Rows, bits: int) -> Codebook:
        """Levels (R, 2^bits); a clip bound has no meaning here, the outermost levels are it."""
        levels = np.empty((len(fit.chosen), 2**bits))
        bounded = np.isfinite(fit.partial_moments(np.zeros(len(levels)))[2])
        if not bounded.all():  # without a variance no level is best: the weights' own histogram has one
            levels[~bounded] = kmeans_levels(statistics.take(~bounded), 2**bits)
        kept = np.flatnonzero(bounded)
        for some, fitted in fit.take(kept).groups():
            rows = kept[some]
            half = half_levels(fitted, 2 ** (bits - 1))
            symmetric = np.concatenate([-half[:, ::-1], half], axis=1)
            levels[rows] = fitted.location[:, None] + fitted.scale[:, None] * symmetric
        return Codebook.nearest(levels)


def half_levels(fitted: Fitted, count: int) -> Rows:
    """The positive levels (R, count) of the unit variable: y_i = E[Z | t_(i-1) < Z < t_i] with t_0 = 0.

    Newton on the tridiagonal system from the companding start, quantiles of the density f^(1/3) (Panter and Dite,
    1951); a step that loses the order of the levels is halved.
    """
    tails = np.broadcast_to(0.5 - (2 * np.arange(count) + 1) / (4 * count), (len(fitted.scale), count))
    levels = fitted.companding_quantiles(tails)
    for _ in range(ITERATIONS):
        step = _newton_step(fitted, levels)
        for _ in range(30):
            tried = levels + step
            lost = (tried[:, 0] <= 0) | (np.diff(tried, axis=1) <= 0).any(axis=1)
            if not lost.any():
                break
            step = np.where(lost[:, None], step / 2, step)
        levels = levels + np.where(lost[:, None], 0, step)
        if (np.abs(step) <= TOLERANCE * levels).all():
            break
    return levels


def _newton_step(fitted: Fitted, levels: Rows) -> Rows:
    """-J^-1 r for r_i = y_i - c_i, c_i the mean of cell i; J is tridiagonal, solved by elimination."""
    shape = fitted.shape_for(levels)
    edges = np.concatenate([np.zeros((len(levels), 1)), (levels[:, 1:] + levels[:, :-1]) / 2], axis=1)
    edge_shape = np.broadcast_to(shape, edges.shape)
    tail, first = fitted.unit_sf(edges, edge_shape), fitted.unit_partial_moments(edges, edge_shape)[0]
    density = fitted.unit_pdf(edges, edge_shape)
    mass = np.maximum(tail - np.pad(tail[:, 1:], ((0, 0), (0, 1))), 1e-300)
    mean = (first - np.pad(first[:, 1:], ((0, 0), (0, 1)))) / mass
    by_lower = density * (mean - edges) / mass / 2
    by_lower[:, 0] = 0  # the edge at zero does not move
    by_upper = np.zeros_like(mean)
    by_upper[:, :-1] = density[:, 1:] * (edges[:, 1:] - mean[:, :-1]) / mass[:, :-1] / 2
    return _solve_tridiagonal(-by_lower, 1 - by_lower - by_upper, -by_upper, mean - levels)


def _solve_tridiagonal(lower: Rows, diagonal: Rows, upper: Rows, right: Rows) -> Rows:
    """Thomas's elimination for R systems of K unknowns at once; every argument is (R, K)."""
    diagonal, right = diagonal.copy(), right.copy()
    for i in range(1, right.shape[1]):
        factor = lower[:, i] / diagonal[:, i - 1]
        diagonal[:, i] -= factor * upper[:, i - 1]
        right[:, i] -= factor * right[:, i - 1]
    solution = right / diagonal
    for i in range(right.shape[1] - 2, -1, -1):
        solution[:, i] -= upper[:, i] * solution[:, i + 1] / diagonal[:, i]
    return solution
