"""The grid of least expected squared error under the fitted distribution."""

from typing import ClassVar, Literal

import numpy as np

from quant.methods.distributions.fit import Fit
from quant.methods.distributions.fitted import FittedFamily
from quant.methods.distributions.statistics import RowStatistics
from quant.methods.grids.base import GridBase
from quant.methods.grids.codebook import Codebook, Rows
from quant.methods.grids.kmeans import kmeans_levels

ITERATIONS = 40
HALVINGS = 30
TOLERANCE = 1e-11
"""Relative change of the levels below which they have converged."""


class LloydMax(GridBase):
    """2^bits levels at the means of their cells under the fitted distribution (Max, 1960; Lloyd, 1982).

    With edges x_i = (y_i + y_(i+1)) / 2, x_0 = -inf and x_K = inf, the levels are the fixed point

        y_i = E[X | x_(i-1) < X < x_i].

    A row takes the levels of kmeans if its distribution has no finite variance, or if so many of its weights are zero
    that they fill a level: the distribution is fitted to the others. See docs/methods.md, 'Grids and expected error'.
    """

    name: Literal["lloyd_max"] = "lloyd_max"
    widths: ClassVar[range] = range(2, 7)

    def build(self, statistics: RowStatistics, fit: Fit, clip: Rows, bits: int) -> Codebook:
        """Return levels (R, 2^bits). The bound is ignored: the outermost levels take its place."""
        levels = np.empty((len(fit.chosen), 2**bits))
        bounded = np.isfinite(fit.partial_moments(np.zeros(len(levels)))[2])
        bounded &= statistics.zeros * 2**bits < statistics.count
        if not bounded.all():
            levels[~bounded] = kmeans_levels(statistics.select_rows(~bounded), 2**bits)
        numbers = np.flatnonzero(bounded)
        for group, fitted in fit.select_rows(numbers).groups():
            half = half_levels(fitted, 2 ** (bits - 1))
            symmetric = np.concatenate([-half[:, ::-1], half], axis=1)
            levels[numbers[group]] = fitted.location[:, None] + fitted.scale[:, None] * symmetric
        return Codebook.from_levels(levels)


def half_levels(fitted: FittedFamily, count: int) -> Rows:
    """Return the positive levels (R, count) of the unit variable: y_i = E[Z | t_(i-1) < Z < t_i] with t_0 = 0.

    Newton's method on the tridiagonal system starts at the quantiles of the density proportional to f^(1/3) (Panter
    and Dite, 1951). A step that would put the levels out of order is halved.
    """
    tails = np.broadcast_to(0.5 - (2 * np.arange(count) + 1) / (4 * count), (len(fitted.scale), count))
    levels = fitted.companding_quantiles(tails)
    for _ in range(ITERATIONS):
        step = _newton_step(fitted, levels)
        for _ in range(HALVINGS):
            tried = levels + step
            unordered = (tried[:, 0] <= 0) | (np.diff(tried, axis=1) <= 0).any(axis=1)
            if not unordered.any():
                break
            step = np.where(unordered[:, None], step / 2, step)
        levels = levels + np.where(unordered[:, None], 0, step)
        if (np.abs(step) <= TOLERANCE * levels).all():
            break
    return levels


def _newton_step(fitted: FittedFamily, levels: Rows) -> Rows:
    """Return -J^-1 r (R, K) for the residuals r_i = y_i - c_i, where c_i is the mean of cell i.

    The Jacobian J is tridiagonal, with dc_i / dt_i = f(t_i) (t_i - c_i) / P_i and dc_i / dt_(i-1) = f(t_(i-1))
    (c_i - t_(i-1)) / P_i for a cell of probability P_i, and each edge moves by half of its neighbours.
    """
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
    """Return the solutions (R, K) of R tridiagonal systems of K unknowns by Thomas's elimination; arguments (R, K)."""
    diagonal, right = diagonal.copy(), right.copy()
    for i in range(1, right.shape[1]):
        factor = lower[:, i] / diagonal[:, i - 1]
        diagonal[:, i] -= factor * upper[:, i - 1]
        right[:, i] -= factor * right[:, i - 1]
    solution = right / diagonal
    for i in range(right.shape[1] - 2, -1, -1):
        solution[:, i] -= upper[:, i] * solution[:, i + 1] / diagonal[:, i]
    return solution
