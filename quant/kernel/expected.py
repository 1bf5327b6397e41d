"""The exact mean errors of codebooks row by row, as `quant.expected_error` has them."""

import math

from quant.kernel.compile import Array, compiled, inner
from quant.kernel.families import Row, prepared, unit_first, unit_sf, unit_variance


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
    """Fill E|X - Q(X)| and E(X - Q(X))^2 (R,) for levels (R, K) and edges (R, K - 1); infinite where a moment is.

    The squares of all cells add up to E[X^2], so that only their masses and first moments are needed.
    """
    for r in range(first, last):
        row = prepared(code[r], location[r], scale[r], shape[r])
        absolute = 0.0
        square = scale[r] ** 2 * unit_variance(row) + location[r] ** 2
        mass, moment = 1.0, location[r]  # above the cell's lower edge
        for k in range(levels.shape[1]):
            level = levels[r, k]
            mass_above, moment_above = _above(row, level)
            mass_next, moment_next = _above(row, edges[r, k]) if k < edges.shape[1] else (0.0, 0.0)
            absolute += level * (mass + mass_next - 2 * mass_above) - (moment + moment_next - 2 * moment_above)
            square -= 2 * level * (moment - moment_next) - level**2 * (mass - mass_next)
            mass, moment = mass_next, moment_next
        mae[r] = math.inf if math.isnan(absolute) else absolute
        mse[r] = math.inf if math.isnan(square) else max(square, 0.0)


@inner
def _above(row: Row, x: float) -> tuple[float, float]:
    """P(X > x) and E[X; X > x]."""
    t = (x - row[1]) / row[2]
    tail = unit_sf(row, abs(t))
    tail = tail if t >= 0 else 1 - tail
    return tail, row[1] * tail + row[2] * unit_first(row, abs(t))
