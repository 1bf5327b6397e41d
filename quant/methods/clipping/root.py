"""Roots of many increasing functions at once, each kept in its bracket."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
Function = Callable[[Rows, NDArray[np.intp]], tuple[Rows, Rows]]
ITERATIONS = 60
TOLERANCE = 1e-9


def increasing_root(function: Function, low: Rows, high: Rows, start: Rows) -> Rows:
    """Where each function (R,) crosses zero upwards between low and high (R,); `high` where it is below zero there.

    `function(x, rows)` gives value and slope of some of the rows. Newton's steps where they stay in the bracket, else
    its geometric middle; rows that have converged are left out.
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
