"""The exact mean errors of fine uniform grids, without a look at each cell.

Over evenly spaced cells the error is a periodic function of the weight: integrated by parts against the density, it
leaves its mean and terms at the two ends alone (Euler and Maclaurin's sum). Next to a cusp of the density, where
derivatives are large, cells are taken one by one. All in units of the scale from the location.
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
"""Cells of at most so much of the finest feature of the density, and so many of them to each side of a cusp, leave
1e-8 of an error."""
UNEVEN = 1e-9
"""The share of a step by which levels may be off an even grid."""


@inner
def is_fine(row: Row, levels: Array) -> bool:
    """Whether levels (K,) are evenly spaced, and closely for the row's density."""
    step = (levels[-1] - levels[0]) / (levels.size - 1)
    if not 0 < step < WIDEST * finest(row) * row[2]:
        return False
    furthest = 0.0
    for k in range(levels.size):
        furthest = max(furthest, abs(levels[0] + k * step - levels[k]))
    return furthest <= UNEVEN * step * levels.size


@inner
def fine_grid_errors(row: Row, levels: Array) -> tuple[float, float]:
    """E|X - Q(X)| and E(X - Q(X))^2 for levels (K,) that are fine."""
    last = levels.size - 1
    first, step = (levels[0] - row[1]) / row[2], (levels[last] - levels[0]) / last / row[2]
    low, high = last, last
    if row[0] in (LAPLACE, GENERALIZED_GAUSSIAN):
        low = min(max(math.floor(-CENTRE - first / step), 0), last)
        high = min(max(math.ceil(CENTRE - first / step), 0), last)
    errors = _beyond(row, -first) + _beyond(row, first + last * step)
    errors += _between(row, first, first + low * step, step) + _between(
        row, first + high * step, first + last * step, step
    )
    errors += _cell_by_cell(row, first + low * step, step, high - low)
    errors = np.where(np.isnan(errors), np.inf, errors)  # infinite moments less infinite moments
    return row[2] * errors[0], row[2] ** 2 * errors[1]


@inner
def _beyond(row: Row, t: float) -> Array:
    """E[Z - t; Z > t] and E[(Z - t)^2; Z > t]."""
    tail, first, second = _moments_above(row, t)
    return np.array((first - t * tail, second - 2 * t * first + t * t * tail))


@inner
def _moments_above(row: Row, t: float) -> tuple[float, float, float]:
    """P(Z > t), E[Z; Z > t] and E[Z^2; Z > t]."""
    tail, first, second = unit_sf(row, abs(t)), unit_first(row, abs(t)), unit_second(row, abs(t))
    if t < 0:
        return 1 - tail, first, unit_variance(row) - second
    return tail, first, second


@inner
def _between(row: Row, low: float, high: float, step: float) -> Array:
    """The errors between two levels, the density smooth there: the periodic error's mean, and the ends' terms."""
    if high <= low:
        return np.zeros(2)
    below, above = _slopes(row, low), _slopes(row, high)
    slope, third = above[0] - below[0], above[1] - below[1]
    mass = _moments_above(row, low)[0] - _moments_above(row, high)[0]
    return np.array((
        step / 4 * mass - step**3 / 192 * slope + step**5 / 7680 * third,
        step**2 / 12 * mass - 7 * step**4 / 2880 * slope + 31 * step**6 / 483840 * third,
    ))  # fmt: skip


@inner
def _slopes(row: Row, t: float) -> tuple[float, float]:
    """The density's first and third derivative at t, from those of its logarithm."""
    code, shape, x = row[0], row[3], abs(t)
    one, two, three = -x, -1.0, 0.0
    if code == LAPLACE:
        one, two = -1.0, 0.0
    elif code == STUDENT_T:
        base = shape + x * x
        one, two = -(shape + 1) * x / base, -(shape + 1) * (shape - x * x) / base**2
        three = 2 * (shape + 1) * x * (3 * shape - x * x) / base**3
    elif code == GENERALIZED_GAUSSIAN:
        one = -shape * x ** (shape - 1)
        two = one * (shape - 1) / x
        three = two * (shape - 2) / x
    density = math.copysign(unit_pdf(row, x), t)
    return density * one, density * (three + 3 * one * two + one**3)


@inner
def _cell_by_cell(row: Row, level: float, step: float, cells: int) -> Array:
    """The errors from a level to the one that is so many cells above it, from the moments between levels and edges."""
    absolute, square = 0.0, 0.0
    tail, first, second = _moments_above(row, level)
    for half in range(2 * cells):
        tail_next, first_next, second_next = _moments_above(row, level + (half + 1) * step / 2)
        mass, moment = tail - tail_next, first - first_next
        nearest = level + (half + 1) // 2 * step
        absolute += (moment - nearest * mass) * (1 if half % 2 == 0 else -1)
        square += second - second_next - 2 * nearest * moment + nearest * nearest * mass
        tail, first, second = tail_next, first_next, second_next
    return np.array((absolute, square))
