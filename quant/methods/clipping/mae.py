"""The clip rule of least expected absolute error."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quant.kernel import dispatch
from quant.methods.clipping.base import ClipRuleBase
from quant.methods.clipping.root import Rows, increasing_root
from quant.methods.distributions.fit import Fit
from quant.methods.distributions.statistics import RowStatistics


class Mae(ClipRuleBase):
    """The bound of least expected absolute error under the fitted distribution.

    The bound is a = L D, at most the largest |w|. The step D is the root of the derivative of E|X - Q(X)|:

        sum_(k=1..L) k [T((k - 1/2) D) + T((k + 1/2) D) - 2 T(k D)] = 0,

    where L = 2^(bits-1) - 1 is the number of positive levels, T(x) = P(|X| > x), and T((L + 1/2) D) is taken as 0,
    because weights beyond the last level all go to it. Newton starts where P(|X| > a) = 1 / (4 L). See
    docs/methods.md, 'Clip bounds'.
    """

    name: Literal["mae"] = "mae"

    def bound(self, statistics: RowStatistics, fit: Fit, bits: int) -> Rows:
        """Return the bound (R,) of least expected absolute error, in the weight's unit; 0 for a row of zeros."""
        steps = 2 ** (bits - 1) - 1
        if (arguments := fit.loop_arguments()) is not None:
            bounds = np.empty(len(statistics.count))
            dispatch.run("bounds:mae_bounds", len(bounds), steps, *arguments, statistics.max_abs, bounds)
            return bounds
        levels = np.arange(1, steps + 1, dtype=np.float64)
        halves = np.arange(0.5, steps + 0.5)

        def derivative(step: Rows, rows: NDArray[np.intp]) -> tuple[Rows, Rows]:
            part, column = fit.select_rows(rows), step[:, None]
            edges, centres = part.tail(column * halves), part.tail(column * levels)
            # T at an edge belongs to the cells of both its neighbours: k + (k - 1) = 2 (k - 1/2)
            value = (2 * halves * edges).sum(axis=1) - (2 * levels * centres).sum(axis=1)
            curvature = 2 * levels**2 * part.abs_pdf(column * levels)
            return value, curvature.sum(axis=1) - (2 * halves**2 * part.abs_pdf(column * halves)).sum(axis=1)

        start = fit.abs_quantile(1 / (4 * steps)) / steps
        high = np.minimum(start * 4, statistics.unit / steps)
        bound: Rows = steps * increasing_root(derivative, np.minimum(start, high) / 8, high, start)
        return np.minimum(bound, statistics.max_abs)
