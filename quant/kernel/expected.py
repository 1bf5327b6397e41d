"""Exact expected MAE and MSE of codebooks, row by row; the NumPy reference is `quant.methods.grids.expected_error`."""

import math

from quant.kernel.compile import Array, compiled, inner
from quant.kernel.families import Row, prepared, unit_first, unit_sf, unit_variance
from quant.kernel.fine_grid import fine_grid_errors, is_fine, moments_above


@compiled
def expected_errors(
    first: int,
    last: int,
    code: Array,
    location: Array,
    scale: Array,
    shape: Array,
    levels: Array,
    edges: Array,
    largest: Array,
    mae: Array,
    mse: Array,
) -> None:
    """Fill mae with E|X - Q(X)| and mse with E[(X - Q(X))^2], both (R,), under the condition |X| <= largest (R,).

    Levels are (R, K) and edges (R, K - 1). An error is infinite where the moment that it needs is infinite.
    """
    for r in range(first, last):
        row = prepared(code[r], location[r], scale[r], shape[r])
        if is_fine(row, levels[r], largest[r]):
            mae[r], mse[r] = fine_grid_errors(row, levels[r], largest[r])
        else:
            mae[r], mse[r] = _by_moments(row, levels[r], edges[r], largest[r])


@inner
def _by_moments(row: Row, levels: Array, edges: Array, largest: float) -> tuple[float, float]:
    """Return MAE and MSE from the mass and the first moment of every cell between -largest and largest.

    Second moments of cells are not needed: over all cells they add up to E[X^2; |X| <= largest].
    """
    mass, moment, absolute = 1.0, row[1], 0.0  # of X above the lower end of the cell
    square = row[2] ** 2 * unit_variance(row) + row[1] ** 2
    end = -math.inf
    if largest < math.inf:
        end = -largest
        mass, moment = _above(row, end)
        square = _second_above(row, end) - _second_above(row, largest)
    probability = mass
    for k in range(levels.size):
        level, upper = levels[k], min(edges[k], largest) if k < edges.size else largest
        if upper <= end:
            continue
        middle = min(max(level, end), upper)
        mass_above, moment_above = (mass, moment) if middle == end else _above(row, middle)
        mass_next, moment_next = _above(row, upper) if upper < math.inf else (0.0, 0.0)
        absolute += level * (mass + mass_next - 2 * mass_above) - (moment + moment_next - 2 * moment_above)
        square -= 2 * level * (moment - moment_next) - level**2 * (mass - mass_next)
        mass, moment, end = mass_next, moment_next, upper
    absolute, square = absolute / (probability - mass), square / (probability - mass)
    absolute = math.inf if math.isnan(absolute) else absolute
    return absolute, math.inf if math.isnan(square) else max(square, 0.0)


@inner
def _above(row: Row, x: float) -> tuple[float, float]:
    """Return P(X > x) and E[X; X > x]."""
    t = (x - row[1]) / row[2]
    tail = unit_sf(row, abs(t))
    tail = tail if t >= 0 else 1 - tail
    return tail, row[1] * tail + row[2] * unit_first(row, abs(t))


@inner
def _second_above(row: Row, x: float) -> float:
    """Return E[X^2; X > x]."""
    tail, first, second = moments_above(row, (x - row[1]) / row[2])
    return row[1] ** 2 * tail + 2 * row[1] * row[2] * first + row[2] ** 2 * second
