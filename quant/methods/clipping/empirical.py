"""The clip rules of least error measured on the weights themselves, by search."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from quant.kernel import dispatch
from quant.methods.clipping.base import ClipRuleBase
from quant.methods.distributions.fit import Fit
from quant.methods.distributions.sample import ERROR_OCTAVES, magnitude_shares
from quant.methods.distributions.statistics import MANTISSA_BITS, RowStatistics
from quant.methods.grids.even_levels import EvenLevels

COARSE_RATIOS = np.geomspace(0.08, 1.0, 20)
"""Ratios of the bound to the largest |w| that are tried first; the error has several local minima."""
FINE_OFFSETS = np.linspace(-1, 1, 7)
"""Offsets about the best ratio that a refinement tries, in units of the spacing of log ratios."""
REFINEMENTS = 3
SHORT_ROW = 1024
"""Length below which the final choice is measured on the weights, because the width of a bin matters."""

Rows = NDArray[np.float64]


class EmpiricalRule(ClipRuleBase):
    """A search for the bound of least measured error: coarse ratios to the largest |w|, then finer ones.

    The error is measured on the weights of short rows and on the histogram of long ones. See docs/methods.md,
    'Clip bounds'.
    """

    absolute: ClassVar[bool]
    """True to minimise the mean absolute error, False to minimise the mean squared error."""

    def bound(self, statistics: RowStatistics, fit: Fit, bits: int, *, mid_rise: bool = False) -> Rows:
        """Return the bound (R,) of least measured error, in the weight's unit; 0 for a row of zeros."""
        largest = statistics.max_abs
        if statistics.compiled:
            return self._compiled_bound(statistics, EvenLevels(bits, mid_rise))
        even = EvenLevels(bits, mid_rise)
        ratios = np.broadcast_to(COARSE_RATIOS, (len(largest), COARSE_RATIOS.size))
        spacing = np.log(COARSE_RATIOS[1] / COARSE_RATIOS[0])
        for _ in range(REFINEMENTS):
            best = self._best_ratio(statistics, ratios, even)
            ratios = np.minimum(best[:, None] * np.exp(spacing * FINE_OFFSETS), 1.0)
            spacing *= FINE_OFFSETS[1] - FINE_OFFSETS[0]
        if statistics.rows.shape[1] < SHORT_ROW:
            with_minmax = np.concatenate([ratios, np.ones((len(largest), 1))], axis=1)
            return self._best_ratio(statistics, with_minmax, even, on_weights=True) * largest
        return self._best_ratio(statistics, ratios, even) * largest

    def _best_ratio(self, statistics: RowStatistics, ratios: Rows, even: EvenLevels, on_weights: bool = False) -> Rows:
        """Return the ratio (R,) of least error among those of each row (R, A)."""
        bounds = ratios * statistics.max_abs[:, None]
        if on_weights or statistics.exact_points:
            errors = np.stack([measured_error(statistics, bound, even) for bound in bounds.T], axis=2)
        else:
            errors = np.stack(histogram_error(statistics, bounds, even))
        error = errors[0 if self.absolute else 1]
        return np.take_along_axis(ratios, error.argmin(axis=1)[:, None], axis=1)[:, 0]

    def _compiled_bound(self, statistics: RowStatistics, even: EvenLevels) -> Rows:
        """Return the bound (R,) of the same search by a compiled loop."""
        bounds = np.empty(len(statistics.count))
        dispatch.run(
            "empirical:empirical_bounds", len(bounds), self.absolute, even.outermost, even.offset, statistics.rows,
            statistics.exact_points, statistics.rows.shape[1] < SHORT_ROW, statistics.counts, statistics.edges,
            ERROR_OCTAVES << MANTISSA_BITS, statistics.max_abs, COARSE_RATIOS, FINE_OFFSETS, REFINEMENTS, bounds,
        )  # fmt: skip
        return bounds


class EmpiricalMae(EmpiricalRule):
    """The bound of least mean absolute error, measured on the weights."""

    name: Literal["empirical_mae"] = "empirical_mae"
    absolute: ClassVar[bool] = True


class EmpiricalMse(EmpiricalRule):
    """The bound of least mean squared error, measured on the weights."""

    name: Literal["empirical_mse"] = "empirical_mse"
    absolute: ClassVar[bool] = False


def measured_error(statistics: RowStatistics, clip: Rows, even: EvenLevels) -> tuple[Rows, Rows]:
    """Return MAE and MSE (R,) of equally spaced levels up to bounds (R,), measured on the weights."""
    rows, outermost = statistics.rows, np.float32(even.outermost)
    if statistics.compiled:
        mae, mse = np.empty((2, len(clip)))
        dispatch.run("empirical:measured_errors", len(clip), rows, clip, even.outermost, even.offset, mae, mse)
        return mae, mse
    step = np.maximum(clip / even.outermost, np.finfo(np.float32).tiny).astype(np.float32)[:, None]
    offset = np.float32(even.offset)
    levels = np.clip(np.rint(rows / step - offset) + offset, -outermost, outermost)
    error = np.abs(levels * step - rows)
    return error.mean(axis=1, dtype=np.float64), np.einsum("rn,rn->r", error, error, dtype=np.float64) / rows.shape[1]


def histogram_error(statistics: RowStatistics, clip: Rows, even: EvenLevels) -> tuple[Rows, Rows]:
    """Return MAE and MSE (R, A) of equally spaced levels up to bounds (R, A), from the histogram.

    Weights count as spread evenly over their bin. The error is then exact: its integral has a closed form.
    """
    edges, shares = magnitude_shares(statistics)
    width = np.diff(edges, axis=1)
    density = shares / np.where(width > 0, width, np.inf)
    mae, mse = np.empty_like(clip), np.empty_like(clip)
    for column in range(clip.shape[1]):
        bound = np.maximum(clip[:, column : column + 1], np.finfo(np.float64).tiny)
        absolute, squared = _error_integrals(edges, bound / even.outermost, even.offset, bound)
        mae[:, column] = np.einsum("rk,rk->r", density, np.diff(absolute, axis=1))
        mse[:, column] = np.einsum("rk,rk->r", density, np.diff(squared, axis=1))
    return mae, mse


def _error_integrals(x: Rows, step: Rows, offset: float, bound: Rows) -> tuple[Rows, Rows]:
    """Return the integrals of |t - Q(t)| and (t - Q(t))^2 over t from 0 to x.

    With the nearest level n step and the distance d = x - n step from it, inside the bound they are n step^2 / 4 +
    d |d| / 2 and n step^3 / 12 + d^3 / 3. n is a number of whole cells, plus half a cell if `offset` is 1/2.
    """
    inside, beyond = np.minimum(x, bound), np.maximum(x - bound, 0)
    cells = np.rint(inside / step - offset) + offset
    distance = inside - cells * step
    absolute = cells * step**2 / 4 + distance * np.abs(distance) / 2 + beyond**2 / 2
    squared = cells * step**3 / 12 + distance**3 / 3 + beyond**3 / 3
    return absolute, squared
