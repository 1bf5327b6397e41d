"""The clip rule of least expected absolute error."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quant.kernel import dispatch
from quant.methods.clipping.base import ClipRuleBase
from quant.methods.clipping.root import Rows, increasing_root
from quant.methods.distributions.fit import Fit
from quant.methods.distributions.statistics import RowStatistics
from quant.methods.grids.even_levels import EvenLevels


class Mae(ClipRuleBase):
    """The bound of least expected absolute error under the fitted distribution.

    The bound is a = y_L D, at most the largest |w|. The step D is the root of the derivative of E|X - Q(X)|:

        sum_(k=1..L) y_k [T((y_k - 1/2) D) + T((y_k + 1/2) D) - 2 T(y_k D)] = 0,

    where y_k D are the L positive levels, y_k = k for the uniform and k - 1/2 for the mid-rise grid, T(x) =
    P(|X| > x), and T((y_L + 1/2) D) is taken as 0, because weights beyond the last level all go to it. Newton starts
    where P(|X| > L D) = 1 / (4 L). See docs/methods.md, 'Clip bounds'.
    """

    name: Literal["mae"] = "mae"

    def bound(self, statistics: RowStatistics, fit: Fit, bits: int, *, mid_rise: bool = False) -> Rows:
        """Return the bound (R,) of least expected absolute error, in the weight's unit; 0 for a row of zeros."""
        even = EvenLevels(bits, mid_rise)
        levels, edges, count = even.positive, even.edges, len(even.positive)
        if not mid_rise and (arguments := fit.loop_arguments()) is not None:
            bounds = np.empty(len(statistics.count))
            dispatch.run("bounds:mae_bounds", len(bounds), count, *arguments, statistics.max_abs, bounds)
            return bounds

        def derivative(step: Rows, rows: NDArray[np.intp]) -> tuple[Rows, Rows]:
            part, column = fit.select_rows(rows), step[:, None]
            # T at an edge e belongs to the cells of both its neighbours: (e - 1/2) + (e + 1/2) = 2 e; T(0) = 1 only to
            # that of the first mid-rise level, 1/2
            value = even.offset + (2 * edges * part.tail(column * edges)).sum(axis=1)
            value -= (2 * levels * part.tail(column * levels)).sum(axis=1)
            curvature = 2 * levels**2 * part.abs_pdf(column * levels)
            return value, curvature.sum(axis=1) - (2 * edges**2 * part.abs_pdf(column * edges)).sum(axis=1)

        start = fit.abs_quantile(1 / (4 * count)) / count
        high = np.minimum(start * 4, statistics.unit / even.outermost)
        bound: Rows = even.outermost * increasing_root(derivative, np.minimum(start, high) / 8, high, start)
        return np.minimum(bound, statistics.max_abs)
