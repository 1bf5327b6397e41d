"""Expected errors of fine uniform grids in closed form (Euler-Maclaurin summation), at a cost independent of the cells.

On an even grid the error is a periodic function of the weight. Its integral against a smooth density is the mean of
the periodic function times the mass, plus terms at the two ends (integration by parts). Next to a cusp of the density,
where derivatives are large, the cells are integrated one by one. The NumPy reference is the sum over all cells in
`quant.methods.grids.expected_error`. Positions are in units of the scale, relative to the location, as for Z in
`quant.kernel.families`.
"""

import math

import numpy as np

from quant.kernel.compile import Array, inner
from quant.kernel.families import (
    GENERALIZED_GAUSSIAN,
    LAPLACE,
    STUDENT_T,
    Row,
    finest,
    unit_first,
    unit_pdf,
    unit_second,
    unit_sf,
    unit_variance,
)

WIDEST, CENTRE = 0.2, 6
"""The widest cell, as a share of `finest(row)`, and the cells on each side of a cusp that are integrated one by one.

With both, the relative error of the result stays below 1e-8.
"""
UNEVEN = 1e-9
"""The distance of a level from the even grid that is tolerated, as a share of the step and for each level."""


@inner
def is_fine(row: Row, levels: Array, largest: float) -> bool:
    """Return True if levels (K,) are evenly spaced, densely enough for the row's density, with some below `largest`."""
    step = (levels[-1] - levels[0]) / (levels.size - 1)
    if not 0 < step < WIDEST * finest(row) * row[2] or largest < step + max(levels[0], -levels[-1], 0.0):
        return False
    furthest = 0.0
    for k in range(levels.size):
        furthest = max(furthest, abs(levels[0] + k * step - levels[k]))
    return furthest <= UNEVEN * step * levels.size


@inner
def fine_grid_errors(row: Row, levels: Array, largest: float) -> tuple[float, float]:
    """Return E|X - Q(X)| and E[(X - Q(X))^2] under |X| <= largest, for levels (K,) for which `is_fine` returns True."""
    last = levels.size - 1
    first, step = (levels[0] - row[1]) / row[2], (levels[last] - levels[0]) / last / row[2]
    if largest == math.inf:
        below, above = _beyond(row, -first), _beyond(row, first + last * step)
        within = _within(row, first, step, last)
        errors = np.array((within[0] + below[1] + above[1], within[1] + below[2] + above[2]))
    else:
        errors = _errors_up_to(row, first, step, last, largest)
    errors = np.where(np.isnan(errors), np.inf, errors)  # the difference of two infinite moments
    return row[2] * errors[0], row[2] ** 2 * errors[1]


@inner
def _errors_up_to(row: Row, first: float, step: float, last: int, largest: float) -> Array:
    """Return MAE and MSE under |X| <= largest, in units of the scale."""
    lower, upper = (-largest - row[1]) / row[2], (largest - row[1]) / row[2]
    low = min(max(math.ceil((lower - first) / step), 0), last)
    high = min(max(math.floor((upper - first) / step), low), last)
    errors = _within(row, first + low * step, step, high - low)[:2]
    errors += _end_errors(row, first + low * step, lower, step if low > 0 else math.inf, -1)
    errors += _end_errors(row, first + high * step, upper, step if high < last else math.inf, 1)
    return errors / (moments_above(row, lower)[0] - moments_above(row, upper)[0])


@inner
def _end_errors(row: Row, level: float, end: float, step: float, side: int) -> Array:
    """Return E|e| and E[e^2] for Z between the level and `end`, above it (side 1) or below it (-1).

    The next level lies one step further: values beyond the middle belong to it. The step is infinite where there is no
    further level.
    """
    middle = level + side * step / 2
    middle = min(end, middle) if side > 0 else max(end, middle)
    errors = _distances(row, level, middle, level)
    return errors + _distances(row, middle, end, level + side * step) if middle != end else errors


@inner
def _distances(row: Row, start: float, end: float, level: float) -> Array:
    """Return E|Z - level| and E[(Z - level)^2] for Z between `start` and `end`, both on one side of the level."""
    near, far = moments_above(row, min(start, end)), moments_above(row, max(start, end))
    mass, first, second = near[0] - far[0], near[1] - far[1], near[2] - far[2]
    return np.array((abs(first - level * mass), second - 2 * level * first + level * level * mass))


@inner
def fine_grid_slopes(row: Row, steps: int, step: float) -> tuple[float, float, float, float]:
    """Return the first derivatives of E|X - Q(X)| and E[(X - Q(X))^2] with respect to the step, then the second ones.

    The levels are -steps .. steps times the step D. If D grows by dD, level k D moves by k dD, and so does every error
    in its cell. The second derivatives are approximate, and the results are in units of the scale.
    """
    step, centre = step / row[2], -row[1] / row[2]
    bound = steps * step
    below, above = _beyond(row, bound - centre), _beyond(row, centre + bound)
    within = _within(row, centre - bound, step, 2 * steps)
    tail = below[0] + above[0]
    left, right = _derivatives(row, centre - bound), _derivatives(row, centre + bound)
    dense, falls = left[0] + right[0], right[1] - left[1]
    return (
        (within[0] - within[2]) / step - steps * tail,
        2 * (within[1] - within[3]) / step - 2 * steps * (below[1] + above[1]),
        steps * (dense / 2 + bound * falls / 4 + steps * dense),
        (1 - tail) / 6 + bound * dense / 3 + bound**2 * falls / 12 + 2 * steps**2 * tail,
    )


@inner
def _beyond(row: Row, t: float) -> tuple[float, float, float]:
    """Return P(Z > t), E[Z - t; Z > t] and E[(Z - t)^2; Z > t]."""
    tail, first, second = moments_above(row, t)
    return tail, first - t * tail, second - 2 * t * first + t * t * tail


@inner
def moments_above(row: Row, t: float) -> tuple[float, float, float]:
    """Return P(Z > t), E[Z; Z > t] and E[Z^2; Z > t]."""
    tail, first, second = unit_sf(row, abs(t)), unit_first(row, abs(t)), unit_second(row, abs(t))
    if t < 0:
        return 1 - tail, first, unit_variance(row) - second
    return tail, first, second


@inner
def _within(row: Row, first: float, step: float, cells: int) -> Array:
    """Return E|e|, E[e^2], E[sign(e) x] and E[e x] for Z between the first level and the level `cells` above it.

    Here e = Z - Q(Z) is the error, and x = X / scale.
    """
    low, high = cells, cells
    if row[0] in (LAPLACE, GENERALIZED_GAUSSIAN):
        low = min(max(math.floor(-CENTRE - first / step), 0), cells)
        high = min(max(math.ceil(CENTRE - first / step), 0), cells)
    sums = _between(row, first, first + low * step, step) + _between(
        row, first + high * step, first + cells * step, step
    )
    return sums + _cell_by_cell(row, first + low * step, step, high - low)


@inner
def _between(row: Row, low: float, high: float, step: float) -> Array:
    """Return the sums of `_within` between two levels, where the density is smooth.

    Each sum is the mean of its periodic function times the mass, plus terms at both ends.
    """
    if high <= low:
        return np.zeros(4)
    mass = moments_above(row, low)[0] - moments_above(row, high)[0]
    sums = np.array((step / 4 * mass, step**2 / 12 * mass, 0.0, 0.0))
    for t, side in ((low, -1), (high, 1)):
        dense, slope, bend, third = _derivatives(row, t)
        x = t + row[1] / row[2]
        product, product_bend = side * x * dense, side * (2 * slope + x * bend)
        slope, third = side * slope, side * third
        sums[0] += step**5 / 7680 * third - step**3 / 192 * slope
        sums[1] += 31 * step**6 / 483840 * third - 7 * step**4 / 2880 * slope
        sums[2] += step**3 / 192 * product_bend - step / 4 * product
        sums[3] += 7 * step**4 / 5760 * product_bend - step**2 / 24 * product
    return sums


@inner
def _derivatives(row: Row, t: float) -> tuple[float, float, float, float]:
    """Return the density of Z at t and its first three derivatives, from the derivatives of its logarithm."""
    code, shape, x = row[0], row[3], abs(t)
    first, second, third = -x, -1.0, 0.0  # derivatives of log density
    if code == LAPLACE:
        first, second = -1.0, 0.0
    elif code == STUDENT_T:
        base = shape + x * x
        first, second = -(shape + 1) * x / base, -(shape + 1) * (shape - x * x) / base**2
        third = 2 * (shape + 1) * x * (3 * shape - x * x) / base**3
    elif code == GENERALIZED_GAUSSIAN:
        first = -shape * x ** (shape - 1)
        second = first * (shape - 1) / x
        third = second * (shape - 2) / x
    dense, side = unit_pdf(row, x), math.copysign(1.0, t)
    cubic = third + 3 * first * second + first**3
    return dense, side * dense * first, dense * (second + first**2), side * dense * cubic


@inner
def _cell_by_cell(row: Row, level: float, step: float, cells: int) -> Array:
    """Return the sums of `_within` from `level` to the level `cells` above it, from the moments of half cells."""
    sums, zero = np.zeros(4), -row[1] / row[2]
    tail, first, second = moments_above(row, level)
    for half in range(2 * cells):
        tail_next, first_next, second_next = moments_above(row, level + (half + 1) * step / 2)
        mass, moment, square = tail - tail_next, first - first_next, second - second_next
        nearest, side = level + (half + 1) // 2 * step, 1 if half % 2 == 0 else -1
        sums[0] += side * (moment - nearest * mass)
        sums[1] += square - 2 * nearest * moment + nearest * nearest * mass
        sums[2] += side * (moment - zero * mass)
        sums[3] += square - (nearest + zero) * moment + nearest * zero * mass
        tail, first, second = tail_next, first_next, second_next
    return sums
