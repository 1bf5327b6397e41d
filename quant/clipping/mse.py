"""The bound of least expected squared error."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quant.clipping.base import ClipRuleBase
from quant.clipping.root import increasing_root
from quant.fit import Fit
from quant.statistics import RowStatistics


class Mse(ClipRuleBase):
    """The bound of least mean squared error under the fitted distribution, at most the largest |w|."""

    name: Literal["mse"] = "mse"

    def bound(self, statistics: RowStatistics, fit: Fit, bits: int) -> NDArray[np.float64]:
        """The bound (R,) in the weight's unit; 0 for a row of zeros, the largest |w| where the variance is infinite.

        The step D solves D sum_k (2k-1) T(e_k) = sum_k M(e_k) over the edges e_k = (k-1/2) D, k = 1..L, with
        T(x) = P(|X| > x) and M(x) = E[|X|; |X| > x]: the derivative of the exact expected error (Lloyd, 1982, for
        levels tied to a common step).
        """
        steps = 2 ** (bits - 1) - 1
        halves = np.arange(0.5, steps + 0.5)

        def slope(step: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            edges = step[:, None] * halves
            tails = (2 * halves * fit.tail(edges)).sum(axis=1)
            value = step * tails - fit.tail_moment(edges).sum(axis=1)
            return value, tails - step * (halves**2 * fit.density(edges)).sum(axis=1)

        start = fit.bound(1 / (4 * steps)) / steps
        largest = statistics.max_abs
        bound = steps * increasing_root(slope, start / 8, np.maximum(start * 100, largest), 1.25 * start)
        finite = np.isfinite(fit.partial_moments(np.zeros_like(start))[2])
        return np.where(finite, np.minimum(bound, largest), largest)
