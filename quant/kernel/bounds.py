"""Clip bounds of least expected error, row by row, as `methods.clipping.mae` and `methods.clipping.mse` have them."""

import math

import numpy as np

from quant.kernel.compile import Array, compiled, inner
from quant.kernel.families import (
    Row,
    density,
    finest,
    prepared,
    quantile_of_magnitude,
    tail,
    tail_and_moment,
    unit_variance,
)
from quant.kernel.fine_grid import WIDEST, fine_grid_slopes
from quant.kernel.quadrature import tails

ITERATIONS, APPROACHES = 60, 3
QUADRATIC = 5e-5
"""A Newton step so short, relatively, leaves an error of its square."""


@compiled
def mae_bounds(
    first: int,
    last: int,
    steps: int,
    code: Array,
    location: Array,
    scale: Array,
    shape: Array,
    largest: Array,
    bounds: Array,
) -> None:
    """The bound (R,) of least mean absolute error for levels -steps .. steps, at most `largest` (R,)."""
    found = np.empty((2, 2 * steps))
    for r in range(first, last):
        row = prepared(code[r], location[r], scale[r], shape[r])
        cap = largest[r] if largest[r] > 0 else 1.0
        start = quantile_of_magnitude(row, 1 / (4.0 * steps))
        cap = min(cap, 4 * start)  # where the mean is infinite, no bound is best
        for _ in range(APPROACHES):  # P(|X| > a) = (1 + a g(a)) / (4 L + 1): rounding inside the bound only
            start = min(start, cap)
            dense = density(row, start)
            wanted = (1 + start * dense) / (4 * steps + 1)
            start = _towards(start, tail(row, start), wanted, dense)
        bounds[r] = min(steps * _root(row, True, steps, start / steps, cap / steps, found), largest[r])


@compiled
def mse_bounds(
    first: int,
    last: int,
    steps: int,
    code: Array,
    location: Array,
    scale: Array,
    shape: Array,
    largest: Array,
    bounds: Array,
) -> None:
    """The bound (R,) of least mean squared error for levels -steps .. steps, at most `largest` (R,)."""
    found = np.empty((2, steps))
    for r in range(first, last):
        row = prepared(code[r], location[r], scale[r], shape[r])
        bounds[r] = largest[r]
        if not math.isfinite(unit_variance(row)):
            continue
        cap = largest[r] if largest[r] > 0 else 1.0
        start = 1.25 * quantile_of_magnitude(row, 1 / (4.0 * steps))
        for _ in range(APPROACHES):  # E(|X| - a)+ = a / (12 L^2): rounding errors of D^2 / 12
            start = min(start, cap)
            probability, moment = tail_and_moment(row, start)
            excess, wanted = moment - start * probability, start / (12.0 * steps * steps)
            start = _towards(start, excess, wanted, probability + 1 / (12.0 * steps * steps))
        bounds[r] = min(steps * _root(row, False, steps, start / steps, cap / steps, found), largest[r])


@inner
def _towards(here: float, value: float, wanted: float, falls: float) -> float:
    """Newton's step in the logarithm of a falling function, at most by a half."""
    if not (value > 0 and falls > 0):
        return here / 2
    step = math.log(value / wanted) * value / falls
    return max(here / 2, min(here * 1.5, here + step))


@inner
def _mae_slope(row: Row, steps: int, step: float, found: Array) -> tuple[float, float]:
    """The derivative of the expected absolute error by the step, and that one's derivative."""
    tails(row, step / 2, step / 2, False, found)
    value, bend = 0.0, 0.0
    for k in range(1, steps + 1):
        half = k - 0.5
        value += 2 * half * found[0, 2 * k - 2] - 2 * k * found[0, 2 * k - 1]
        bend += 2 * k * k * density(row, step * k) - 2 * half * half * density(row, step * half)
    return value, bend


@inner
def _mse_slope(row: Row, steps: int, step: float, found: Array) -> tuple[float, float]:
    """The same of the squared error."""
    tails(row, step / 2, step, True, found)
    total, moments, bend = 0.0, 0.0, 0.0
    for k in range(1, steps + 1):
        half = k - 0.5
        total += 2 * half * found[0, k - 1]
        moments += found[1, k - 1]
        bend += half * half * density(row, step * half)
    return step * total - moments, total - step * bend


@inner
def _root(row: Row, absolute: bool, steps: int, start: float, high: float, found: Array) -> float:
    """Where the error's derivative crosses zero upwards below `high`; `high` where it is below zero there."""
    cap, low, here = high, 0.0, min(start, high)
    for _ in range(ITERATIONS):
        if here < WIDEST / 2 * finest(row) * row[2]:
            slopes = fine_grid_slopes(row, steps, here)
            value, slope = (slopes[0], slopes[2] / row[2]) if absolute else (slopes[1] * row[2], slopes[3])
        else:
            value, slope = _mae_slope(row, steps, here, found) if absolute else _mse_slope(row, steps, here, found)
        if value < 0:
            if here >= cap:
                return cap
            low = here
        else:
            high = here
        following = here - value / slope if slope > 0 else high * 2
        if following >= cap and high == cap:
            following = cap
        elif not low < following < high:
            following = math.sqrt(max(low, high / 64) * high)
        if abs(following - here) <= QUADRATIC * following:
            return following
        here = following
    return here
