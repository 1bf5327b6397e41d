"""The bound of least expected absolute error."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quant.kernel import dispatch
from quant.methods.clipping.base import ClipRuleBase
from quant.methods.clipping.root import Rows, increasing_root
from quant.methods.distributions.fit import Fit
from quant.methods.distributions.statistics import RowStatistics


class Mae(ClipRuleBase):
    """The bound of least mean absolute error under the fitted distribution, at most the largest |w|."""

    name: Literal["mae"] = "mae"

    def bound(self, statistics: RowStatistics, fit: Fit, bits: int) -> Rows:
        """The bound (R,) in the weight's unit; 0 for a row of zeros.

        The step D solves sum_k k [T((k-1/2)D) + T((k+1/2)D) - 2 T(kD)] = 0 over k = 1..L, T(x) = P(|X| > x) and
        T((L+1/2)D) = 0: the derivative of the exact expected error. Newton starts at P(|X| > LD) = 1/(4L).
        """
        steps = 2 ** (bits - 1) - 1
        if (arguments := fit.loop_arguments()) is not None:
            bounds = np.empty(len(statistics.count))
            dispatch.run("bounds:mae_bounds", len(bounds), steps, *arguments, statistics.max_abs, bounds)
            return bounds
        levels = np.arange(1, steps + 1, dtype=np.float64)
        halves = np.arange(0.5, steps + 0.5)

        def slope(step: Rows, rows: NDArray[np.intp]) -> tuple[Rows, Rows]:
            some, column = fit.take(rows), step[:, None]
            edges, centres = some.tail(column * halves), some.tail(column * levels)
            # T at an edge belongs to the cells of both its neighbours: k + (k - 1) = 2 (k - 1/2)
            value = (2 * halves * edges).sum(axis=1) - (2 * levels * centres).sum(axis=1)
            bend = 2 * levels**2 * some.abs_pdf(column * levels)
            return value, bend.sum(axis=1) - (2 * halves**2 * some.abs_pdf(column * halves)).sum(axis=1)

        start = fit.abs_quantile(1 / (4 * steps)) / steps
        high = np.minimum(start * 4, statistics.unit / steps)
        bound: Rows = steps * increasing_root(slope, np.minimum(start, high) / 8, high, start)
        return np.minimum(bound, statistics.max_abs)
