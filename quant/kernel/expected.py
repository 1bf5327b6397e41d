"""The exact mean errors of codebooks row by row, as `quant.expected_error` has them."""

import math

from quant.kernel.compile import Array, compiled, inner
from quant.kernel.families import (
    Row,
    cdf,
    pdf,
    prepared,
    sf,
    unit_first,
    unit_second,
    unit_sf,
    unit_variance,
)
from quant.kernel.quadrature import NODES, WEIGHTS, narrow, near_cusp


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
    mae: Array,
    mse: Array,
) -> None:
    """Fill E|X - Q(X)| and E(X - Q(X))^2 (R,) for levels (R, K) and edges (R, K - 1); infinite where a moment is."""
    for r in range(first, last):
        row = prepared(code[r], location[r], scale[r], shape[r])
        if _fine(row, levels[r]):
            mae[r], mse[r] = _by_quadrature(row, levels[r], edges[r])
        else:
            mae[r], mse[r] = _by_moments(row, levels[r], edges[r])


@inner
def _by_moments(row: Row, levels: Array, edges: Array) -> tuple[float, float]:
    """From every cell's mass and first moment: the squares of all cells add up to E[X^2]."""
    absolute, square = 0.0, row[2] ** 2 * unit_variance(row) + row[1] ** 2
    mass, moment = 1.0, row[1]  # above the cell's lower edge
    for k in range(levels.size):
        level = levels[k]
        mass_above, moment_above = _above(row, level)
        mass_next, moment_next = _above(row, edges[k]) if k < edges.size else (0.0, 0.0)
        absolute += level * (mass + mass_next - 2 * mass_above) - (moment + moment_next - 2 * moment_above)
        square -= 2 * level * (moment - moment_next) - level**2 * (mass - mass_next)
        mass, moment = mass_next, moment_next
    absolute = math.inf if math.isnan(absolute) else absolute
    return absolute, math.inf if math.isnan(square) else max(square, 0.0)


@inner
def _above(row: Row, x: float) -> tuple[float, float]:
    """P(X > x) and E[X; X > x]."""
    t = (x - row[1]) / row[2]
    tail = unit_sf(row, abs(t))
    tail = tail if t >= 0 else 1 - tail
    return tail, row[1] * tail + row[2] * unit_first(row, abs(t))


@inner
def _fine(row: Row, levels: Array) -> bool:
    """Whether every half cell is narrow."""
    widest = 0.0
    for k in range(levels.size - 1):
        widest = max(widest, levels[k + 1] - levels[k])
    return widest > 0 and narrow(row, widest / 2)


@inner
def _by_quadrature(row: Row, levels: Array, edges: Array) -> tuple[float, float]:
    """Gauss and Legendre's three points in every half cell; what lies outside the levels by its moments."""
    absolute, square = _outside(row, levels[levels.size - 1], 1)
    below = _outside(row, levels[0], -1)
    absolute, square = absolute + below[0], square + below[1]
    for k in range(levels.size - 1):
        for level in (levels[k], levels[k + 1]):
            half = _half_cell(row, level, edges[k])
            absolute, square = absolute + half[0], square + half[1]
    return absolute, square


@inner
def _outside(row: Row, level: float, side: int) -> tuple[float, float]:
    """The first and second moment of side (X - level) where it is positive."""
    t = side * (level - row[1]) / row[2]
    tail, first, second = unit_sf(row, abs(t)), unit_first(row, abs(t)), unit_second(row, abs(t))
    if t < 0:
        tail, second = 1 - tail, unit_variance(row) - second
    return row[2] * (first - t * tail), row[2] ** 2 * (second - 2 * t * first + t * t * tail)


@inner
def _half_cell(row: Row, level: float, edge: float) -> tuple[float, float]:
    """E|X - level| and E(X - level)^2 between a level and an edge beside it."""
    width = abs(edge - level)
    side = 1 if edge > level else -1
    middle = (level + edge) / 2
    if near_cusp(row, middle, width):
        near, far = _outside(row, level, side), _outside(row, edge, side)
        # what is beyond the edge is an edge's width further from the level
        mass = sf(row, edge) if side > 0 else cdf(row, edge)
        return near[0] - far[0] - width * mass, near[1] - far[1] - 2 * width * far[0] - width * width * mass
    absolute, square = 0.0, 0.0
    for node, weight in zip(NODES, WEIGHTS):  # noqa: B905 (numba has no strict)
        distance = width * node
        mass = weight * width * pdf(row, level + side * distance)
        absolute += mass * distance
        square += mass * distance * distance
    return absolute, square
