"""Gauss and Legendre's three points, for the many narrow cells of a fine grid under a density dear to integrate."""

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
"""A cell's width in units of the scale, and cells from the centre: three points then leave 1e-9 of an error."""
NODES = (0.5 - math.sqrt(3 / 5) / 2, 0.5, 0.5 + math.sqrt(3 / 5) / 2)
WEIGHTS = (5 / 18, 4 / 9, 5 / 18)


@inner
def narrow(row: Row, width: float) -> bool:
    """Whether the density, if it is a dear one, is nearly a polynomial across such a width."""
    return row[0] in (STUDENT_T, GENERALIZED_GAUSSIAN) and width < WIDEST * finest(row) * row[2]


@inner
def near_cusp(row: Row, x: float, width: float) -> bool:
    """Whether there may be a cusp so near that the density is no polynomial after all."""
    return row[0] == GENERALIZED_GAUSSIAN and abs(x - row[1]) < CENTRE * width


@inner
def tails(row: Row, first: float, spacing: float, moments: bool, found: Array) -> None:
    """Fill found[0] with P(|X| > x) and, if wanted, found[1] with E[|X|; |X| > x], for x = first + j spacing.

    From the outermost inwards, where cells are narrow: each adds to the one before what lies between them.
    """
    cheap = narrow(row, spacing)
    for j in range(found.shape[1] - 1, -1, -1):
        x = first + j * spacing
        middle = x + spacing / 2
        if not cheap or j == found.shape[1] - 1 or near_cusp(row, middle, spacing) or near_cusp(row, -middle, spacing):
            if moments:
                found[0, j], found[1, j] = tail_and_moment(row, x)
            else:
                found[0, j] = tail(row, x)
            continue
        found[0, j], found[1, j] = found[0, j + 1], found[1, j + 1]
        for node, weight in zip(NODES, WEIGHTS):  # noqa: B905 (numba has no strict)
            mass = weight * spacing * density(row, x + node * spacing)
            found[0, j] += mass
            found[1, j] += mass * (x + node * spacing)
