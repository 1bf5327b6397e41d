"""Roots of many increasing functions at once, each kept in its bracket."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
ITERATIONS = 60
TOLERANCE = 1e-9


def increasing_root(function: Callable[[Rows], tuple[Rows, Rows]], low: Rows, high: Rows, start: Rows) -> Rows:
    """Where each function (R,) crosses zero upwards between low and high (R,).

    `function` gives value and slope. Newton's steps where they stay in the bracket, else its geometric middle; a
    function that does not cross ends at the end of the bracket that is nearer to zero.
    """
    here = np.clip(start, low, high)
    for _ in range(ITERATIONS):
        value, slope = function(here)
        low, high = np.where(value < 0, here, low), np.where(value >= 0, here, high)
        newton = here - value / np.where(slope > 0, slope, np.inf)
        inside = (slope > 0) & (newton > low) & (newton < high)
        following = np.where(inside, newton, np.sqrt(low * high))
        moved = np.abs(following - here)
        here = following
        if (moved <= TOLERANCE * here).all():
            break
    return here
