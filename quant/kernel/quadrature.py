"""Three-point Gauss-Legendre quadrature of tail probabilities over the narrow cells of a fine grid.

It replaces the exact tail functions of the families for which these are expensive.
"""

import math

from quant.kernel.compile import Array, inner
from quant.kernel.families import (
    GENERALIZED_GAUSSIAN,
    STUDENT_T,
    Row,
    density,
    finest,
    tail,
    tail_and_moment,
)

WIDEST, CENTRE = 0.1, 12
"""The widest cell, as a share of `finest(row)`, and the least distance from a cusp, in cells.

With both, the relative error of three points is below 1e-9.
"""
NODES = (0.5 - math.sqrt(3 / 5) / 2, 0.5, 0.5 + math.sqrt(3 / 5) / 2)
WEIGHTS = (5 / 18, 4 / 9, 5 / 18)


@inner
def narrow(row: Row, width: float) -> bool:
    """Return True if the tail is expensive and the density is nearly a polynomial across `width`."""
    return row[0] in (STUDENT_T, GENERALIZED_GAUSSIAN) and width < WIDEST * finest(row) * row[2]


@inner
def near_cusp(row: Row, x: float, width: float) -> bool:
    """Return True if a cusp may be so near to x that the density is not nearly a polynomial there."""
    return row[0] == GENERALIZED_GAUSSIAN and abs(x - row[1]) < CENTRE * width


@inner
def tails(row: Row, first: float, spacing: float, moments: bool, sums: Array) -> None:
    """Fill sums[0] with P(|X| > x) and, if `moments`, sums[1] with E[|X|; |X| > x], for x = first + j spacing.

    Where cells are narrow, the tail at x is the tail at the next larger x plus the integral between the two.
    """
    by_quadrature = narrow(row, spacing)
    for j in range(sums.shape[1] - 1, -1, -1):
        x = first + j * spacing
        middle = x + spacing / 2
        outermost = j == sums.shape[1] - 1
        cusp = near_cusp(row, middle, spacing) or near_cusp(row, -middle, spacing)
        if not by_quadrature or outermost or cusp:
            if moments:
                sums[0, j], sums[1, j] = tail_and_moment(row, x)
            else:
                sums[0, j] = tail(row, x)
            continue
        sums[0, j], sums[1, j] = sums[0, j + 1], sums[1, j + 1]
        for node, weight in zip(NODES, WEIGHTS):  # noqa: B905 (numba has no strict)
            mass = weight * spacing * density(row, x + node * spacing)
            sums[0, j] += mass
            sums[1, j] += mass * (x + node * spacing)
