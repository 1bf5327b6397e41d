"""The bound of least error on the weights themselves, by search."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from quant.kernel import dispatch
from quant.methods.clipping.base import ClipRuleBase
from quant.methods.distributions.fit import Fit
from quant.methods.distributions.sample import ERROR_OCTAVES, folded_shares
from quant.methods.distributions.statistics import MANTISSA_BITS, RowStatistics

COARSE = np.geomspace(0.08, 1.0, 20)
"""Ratios of the bound to the largest |w| that are tried first: the error has several local minima."""
SHORT_ROW = 1024
REFINEMENTS, FINE = 3, np.linspace(-1, 1, 7)

Rows = NDArray[np.float64]


class EmpiricalRule(ClipRuleBase):
    """Search on the weights, or on their histogram: a grid of bounds, then finer ones about the best.

    `absolute` is whether the mean absolute error counts, or the squared one.
    """

    absolute: ClassVar[bool]

    def bound(self, statistics: RowStatistics, fit: Fit, bits: int) -> Rows:
        """The bound (R,) in the weight's unit; 0 for a row of zeros."""
        largest = statistics.max_abs
        if statistics.compiled:
            return self._compiled(statistics, bits)
        ratios = np.broadcast_to(COARSE, (len(largest), COARSE.size))
        spacing = np.log(COARSE[1] / COARSE[0])
        for _ in range(REFINEMENTS):
            best = self._best(statistics, ratios, bits)
            ratios = np.minimum(best[:, None] * np.exp(spacing * FINE), 1.0)
            spacing *= FINE[1] - FINE[0]
        if statistics.rows.shape[1] < SHORT_ROW:  # where a bin's width matters, the weights decide
            tried = np.concatenate([ratios, np.ones((len(largest), 1))], axis=1)
            return self._best(statistics, tried, bits, measured=True) * largest
        return self._best(statistics, ratios, bits) * largest

    def _best(self, statistics: RowStatistics, ratios: Rows, bits: int, measured: bool = False) -> Rows:
        bounds = ratios * statistics.max_abs[:, None]
        if measured or statistics.few:
            errors = np.stack([measured_error(statistics, bound, bits) for bound in bounds.T], axis=2)
        else:
            errors = np.stack(histogram_error(statistics, bounds, bits))
        error = errors[0 if self.absolute else 1]
        return np.take_along_axis(ratios, error.argmin(axis=1)[:, None], axis=1)[:, 0]

    def _compiled(self, statistics: RowStatistics, bits: int) -> Rows:
        bounds = np.empty(len(statistics.count))
        dispatch.run(
            "empirical:empirical_bounds", len(bounds), self.absolute, 2 ** (bits - 1) - 1, statistics.rows,
            statistics.few, statistics.rows.shape[1] < SHORT_ROW, statistics.counts, statistics.edges,
            ERROR_OCTAVES << MANTISSA_BITS, statistics.max_abs, COARSE, FINE, REFINEMENTS, bounds,
        )  # fmt: skip
        return bounds


class EmpiricalMae(EmpiricalRule):
    """The bound of least mean absolute error on the weights themselves."""

    name: Literal["empirical_mae"] = "empirical_mae"
    absolute = True


class EmpiricalMse(EmpiricalRule):
    """The bound of least mean squared error on the weights themselves."""

    name: Literal["empirical_mse"] = "empirical_mse"
    absolute = False


def measured_error(statistics: RowStatistics, clip: Rows, bits: int) -> tuple[Rows, Rows]:
    """MAE and MSE (R,) of the uniform quantizer at bounds (R,) on the weights themselves."""
    qmax, rows = 2 ** (bits - 1) - 1, statistics.rows
    if statistics.compiled:
        mae, mse = np.empty((2, len(clip)))
        dispatch.run("empirical:measured_errors", len(clip), rows, clip, qmax, mae, mse)
        return mae, mse
    step = np.maximum(clip / qmax, np.finfo(np.float32).tiny).astype(np.float32)[:, None]
    error = np.abs(np.clip(np.rint(rows / step), -qmax, qmax) * step - rows)
    return error.mean(axis=1, dtype=np.float64), np.einsum("rn,rn->r", error, error, dtype=np.float64) / rows.shape[1]


def histogram_error(statistics: RowStatistics, clip: Rows, bits: int) -> tuple[Rows, Rows]:
    """MAE and MSE (R, A) of the uniform quantizer at bounds (R, A) on the weights, taken as uniform in each bin.

    Exact under that reading: the error's integral from zero has a closed form in every cell and beyond the bound.
    """
    edges, shares = folded_shares(statistics)
    width = np.diff(edges, axis=1)
    density = shares / np.where(width > 0, width, np.inf)
    mae, mse = np.empty_like(clip), np.empty_like(clip)
    for column in range(clip.shape[1]):
        bound = np.maximum(clip[:, column : column + 1], np.finfo(np.float64).tiny)
        absolute, squared = _integrals(edges, bound / (2 ** (bits - 1) - 1), bound)
        mae[:, column] = np.einsum("rk,rk->r", density, np.diff(absolute, axis=1))
        mse[:, column] = np.einsum("rk,rk->r", density, np.diff(squared, axis=1))
    return mae, mse


def _integrals(x: Rows, step: Rows, bound: Rows) -> tuple[Rows, Rows]:
    """The integrals of |t - Q(t)| and (t - Q(t))^2 over t from 0 to x."""
    inside, beyond = np.minimum(x, bound), np.maximum(x - bound, 0)
    cells = np.rint(inside / step)
    offset = inside - cells * step  # from the nearest level: -step/2 .. step/2
    absolute = cells * step**2 / 4 + offset * np.abs(offset) / 2 + beyond**2 / 2
    squared = cells * step**3 / 12 + offset**3 / 3 + beyond**3 / 3
    return absolute, squared
