"""The bound of least expected absolute error."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quant.clipping.base import ClipRuleBase
from quant.clipping.root import increasing_root
from quant.fit import Fit
from quant.statistics import RowStatistics


class Mae(ClipRuleBase):
    """The bound of least mean absolute error under the fitted distribution, at most the largest |w|."""

    name: Literal["mae"] = "mae"

    def bound(self, statistics: RowStatistics, fit: Fit, bits: int) -> NDArray[np.float64]:
        """The bound (R,) in the weight's unit; 0 for a row of zeros.

        The step D solves sum_k k [T((k-1/2)D) + T((k+1/2)D) - 2 T(kD)] = 0 over k = 1..L, T(x) = P(|X| > x) and
        T((L+1/2)D) = 0: the derivative of the exact expected error. Newton starts at P(|X| > LD) = 1/(4L).
        """
        steps = 2 ** (bits - 1) - 1
        levels = np.arange(1, steps + 1, dtype=np.float64)
        halves = np.arange(0.5, steps + 0.5)

        def slope(step: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            column = step[:, None]
            edges, centres = fit.tail(column * halves), fit.tail(column * levels)
            # T at an edge belongs to the cells of both its neighbours: k + (k - 1) = 2 (k - 1/2)
            value = (2 * halves * edges).sum(axis=1) - (2 * levels * centres).sum(axis=1)
            bend = 2 * levels**2 * fit.density(column * levels)
            return value, bend.sum(axis=1) - (2 * halves**2 * fit.density(column * halves)).sum(axis=1)

        start = fit.bound(1 / (4 * steps)) / steps
        bound: NDArray[np.float64] = steps * increasing_root(slope, start / 8, start * 4, start)
        return np.minimum(bound, statistics.max_abs)
