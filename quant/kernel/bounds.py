"""Clip bounds that minimise the expected MAE or MSE of a fitted distribution, row by row.

The NumPy references are `quant.methods.clipping.mae.Mae` and `quant.methods.clipping.mse.Mse`. Both minimise the error
by finding the root of its derivative with respect to the step: the bound is `steps` times the step.
"""

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
"""The most Newton steps on the derivative, and the Newton steps on the simpler equation that gives the first bound."""
QUADRATIC = 5e-5
"""The relative Newton step after which the root is accepted: the remaining error is about its square."""


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
    """Fill bounds (R,) with the clip bound of least expected MAE for levels -steps .. steps, at most `largest` (R,)."""
    tail_sums = np.empty((2, 2 * steps))
    for r in range(first, last):
        row = prepared(code[r], location[r], scale[r], shape[r])
        cap = largest[r] if largest[r] > 0 else 1.0
        start = quantile_of_magnitude(row, 1 / (4.0 * steps))
        cap = min(cap, 4 * start)  # without this limit the bound diverges where the mean is infinite
        for _ in range(
            APPROACHES
        ):  # P(|X| > a) = (1 + a g(a)) / (4 L + 1), the optimum if |rounding error| is D / 4 inside
            start = min(start, cap)
            dense = density(row, start)
            target = (1 + start * dense) / (4 * steps + 1)
            start = _newton_in_log(start, tail(row, start), target, dense)
        bounds[r] = min(steps * _root(row, True, steps, start / steps, cap / steps, tail_sums), largest[r])


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
    """Fill bounds (R,) with the clip bound of least expected MSE for levels -steps .. steps, at most `largest` (R,)."""
    tail_sums = np.empty((2, steps))
    for r in range(first, last):
        row = prepared(code[r], location[r], scale[r], shape[r])
        bounds[r] = largest[r]
        if not math.isfinite(unit_variance(row)):
            continue
        cap = largest[r] if largest[r] > 0 else 1.0
        start = 1.25 * quantile_of_magnitude(row, 1 / (4.0 * steps))
        for _ in range(APPROACHES):  # E(|X| - a)+ = a / (12 L^2), the optimum if its square is D^2 / 12 everywhere
            start = min(start, cap)
            probability, moment = tail_and_moment(row, start)
            excess, target = moment - start * probability, start / (12.0 * steps * steps)
            start = _newton_in_log(start, excess, target, probability + 1 / (12.0 * steps * steps))
        bounds[r] = min(steps * _root(row, False, steps, start / steps, cap / steps, tail_sums), largest[r])


@inner
def _newton_in_log(here: float, value: float, target: float, falls: float) -> float:
    """Return the next point of Newton's method for log(f) = log(target), at most half of `here` away.

    f falls; `value` is f(here) and `falls` is -f'(here).
    """
    if not (value > 0 and falls > 0):
        return here / 2
    step = math.log(value / target) * value / falls
    return max(here / 2, min(here * 1.5, here + step))


@inner
def _mae_slope(row: Row, steps: int, step: float, tail_sums: Array) -> tuple[float, float]:
    """Return the first and second derivative of the expected absolute error with respect to the step."""
    tails(row, step / 2, step / 2, False, tail_sums)
    value, bend = 0.0, 0.0
    for k in range(1, steps + 1):
        half = k - 0.5
        value += 2 * half * tail_sums[0, 2 * k - 2] - 2 * k * tail_sums[0, 2 * k - 1]
        bend += 2 * k * k * density(row, step * k) - 2 * half * half * density(row, step * half)
    return value, bend


@inner
def _mse_slope(row: Row, steps: int, step: float, tail_sums: Array) -> tuple[float, float]:
    """Return the first and second derivative of the expected squared error with respect to the step, halved."""
    tails(row, step / 2, step, True, tail_sums)
    total, moments, bend = 0.0, 0.0, 0.0
    for k in range(1, steps + 1):
        half = k - 0.5
        total += 2 * half * tail_sums[0, k - 1]
        moments += tail_sums[1, k - 1]
        bend += half * half * density(row, step * half)
    return step * total - moments, total - step * bend


@inner
def _root(row: Row, absolute: bool, steps: int, start: float, high: float, tail_sums: Array) -> float:
    """Return the step below `high` at which the error is least; `high` if the error still falls there.

    Newton's method on the derivative of the error, kept inside the interval in which the derivative changes its sign.
    """
    cap, low, here = high, 0.0, min(start, high)
    for _ in range(ITERATIONS):
        if here < WIDEST / 2 * finest(row) * row[2]:
            slopes = fine_grid_slopes(row, steps, here)
            value, slope = (slopes[0], slopes[2] / row[2]) if absolute else (slopes[1] * row[2], slopes[3])
        else:
            value, slope = (
                _mae_slope(row, steps, here, tail_sums) if absolute else _mse_slope(row, steps, here, tail_sums)
            )
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
