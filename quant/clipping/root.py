"""Roots of many increasing functions at once, each kept in its bracket."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
ITERATIONS = 60
TOLERANCE = 1e-10


def increasing_root(function: Callable[[Rows], Rows], low: Rows, high: Rows) -> Rows:
    """Where each function (R,) crosses zero between low and high (R,), by false position (Illinois variant).

    A function that does not cross gives the end that is nearer to zero.
    """
    f_low, f_high = function(low), function(high)
    for _ in range(ITERATIONS):
        step = np.where(f_high > f_low, f_high - f_low, 1.0)
        middle = np.clip(high - f_high * (high - low) / step, low, high)
        value = function(middle)
        left = value < 0
        f_high = np.where(left, f_high * np.where(f_low < 0, 0.5, 1.0), value)
        f_low = np.where(left, value, f_low * 0.5)
        moved = np.where(left, middle - low, high - middle)
        low, high = np.where(left, middle, low), np.where(left, high, middle)
        if (np.minimum(moved, high - low) <= TOLERANCE * high).all():
            break
    return middle
