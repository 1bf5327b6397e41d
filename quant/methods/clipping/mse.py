"""The bound of least expected squared error."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quant.kernel import dispatch
from quant.methods.clipping.base import ClipRuleBase
from quant.methods.clipping.root import Rows, increasing_root
from quant.methods.distributions.fit import Fit
from quant.methods.distributions.statistics import RowStatistics


class Mse(ClipRuleBase):
    """The bound of least mean squared error under the fitted distribution, at most the largest |w|."""

    name: Literal["mse"] = "mse"

    def bound(self, statistics: RowStatistics, fit: Fit, bits: int) -> Rows:
        """The bound (R,) in the weight's unit; 0 for a row of zeros, the largest |w| where the variance is infinite.

        The step D solves D sum_k (2k-1) T(e_k) = sum_k M(e_k) over the edges e_k = (k-1/2) D, k = 1..L, with
        T(x) = P(|X| > x) and M(x) = E[|X|; |X| > x]: the derivative of the exact expected error (Lloyd, 1982, for
        levels tied to a common step).
        """
        steps = 2 ** (bits - 1) - 1
        if (arguments := fit.loop_arguments()) is not None:
            bounds = np.empty(len(statistics.count))
            dispatch.run("bounds:mse_bounds", len(bounds), steps, *arguments, statistics.max_abs, bounds)
            return bounds
        halves = np.arange(0.5, steps + 0.5)

        def slope(step: Rows, rows: NDArray[np.intp]) -> tuple[Rows, Rows]:
            some, edges = fit.take(rows), step[:, None] * halves
            tails = (2 * halves * some.tail(edges)).sum(axis=1)
            value = step * tails - some.tail_moment(edges).sum(axis=1)
            return value, tails - step * (halves**2 * some.abs_pdf(edges)).sum(axis=1)

        start = fit.abs_quantile(1 / (4 * steps)) / steps
        largest = statistics.max_abs
        high = statistics.unit / steps
        root = increasing_root(slope, np.minimum(start, high) / 8, high, 1.25 * start)
        finite = np.isfinite(fit.partial_moments(np.zeros_like(start))[2])
        return np.where(finite, np.minimum(steps * root, largest), largest)
