"""Roots of many increasing functions at once, by Newton's method inside a bracket."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
Function = Callable[[Rows, NDArray[np.intp]], tuple[Rows, Rows]]
ITERATIONS = 60
TOLERANCE = 1e-9
"""Relative change of a root below which its row has converged."""


def increasing_root(function: Function, low: Rows, high: Rows, start: Rows) -> Rows:
    """Return where each of R functions crosses zero upwards between low and high (R,); high if it does not.

    A step of Newton's that leaves the bracket is replaced by the bracket's geometric middle. Rows that have converged
    are left out of later iterations.

    Args:
        function: Gives value and slope (r,) at arguments (r,) of the rows with numbers (r,).
        low: Lower end of each bracket, above zero.
        high: Upper end of each bracket.
        start: First argument of each row.
    """
    roots = high.copy()
    rows = np.flatnonzero(function(high, np.arange(len(high)))[0] >= 0)  # far out every tail is zero
    low, high, here = low[rows], high[rows], np.clip(start, low, high)[rows]
    for _ in range(ITERATIONS):
        if not rows.size:
            break
        value, slope = function(here, rows)
        low, high = np.where(value < 0, here, low), np.where(value >= 0, here, high)
        newton = here - value / np.where(slope > 0, slope, np.inf)
        inside = (slope > 0) & (newton >= low) & (newton <= high)
        following = np.where(inside, newton, np.sqrt(low * high))
        going = np.abs(following - here) > TOLERANCE * following
        roots[rows] = following
        rows, low, high, here = rows[going], low[going], high[going], following[going]
    return roots
