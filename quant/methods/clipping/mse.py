"""The clip rule of least expected squared error."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quant.kernel import dispatch
from quant.methods.clipping.base import ClipRuleBase
from quant.methods.clipping.root import Rows, increasing_root
from quant.methods.distributions.fit import Fit
from quant.methods.distributions.statistics import RowStatistics
from quant.methods.grids.even_levels import EvenLevels


class Mse(ClipRuleBase):
    """The bound of least expected squared error under the fitted distribution.

    The bound is a = y_L D, at most the largest |w|. The step D is the root of the derivative of E[(X - Q(X))^2]:

        D sum_(k=1..L) (y_k^2 - y_(k-1)^2) T(e_k) = sum_(k=1..L) (y_k - y_(k-1)) M(e_k),    e_k = (y_k - 1/2) D,

    where y_k D are the L positive levels, y_k = k for the uniform and k - 1/2 for the mid-rise grid, y_0 = 0, T(x) =
    P(|X| > x) and M(x) = E[|X|; |X| > x]. This is the condition of Lloyd (1982) for levels that share one step. Newton
    starts at 1.25 times the step with P(|X| > L D) = 1 / (4 L). See docs/methods.md, 'Clip bounds'.
    """

    name: Literal["mse"] = "mse"

    def bound(self, statistics: RowStatistics, fit: Fit, bits: int, *, mid_rise: bool = False) -> Rows:
        """Return the bound (R,) of least expected squared error, in the weight's unit; 0 for a row of zeros.

        A row whose distribution has no finite variance gets its largest |w|.
        """
        even = EvenLevels(bits, mid_rise)
        count, largest = len(even.positive), statistics.max_abs
        if not mid_rise and (arguments := fit.loop_arguments()) is not None:
            bounds = np.empty(len(statistics.count))
            dispatch.run("bounds:mse_bounds", len(bounds), count, *arguments, largest, bounds)
            return bounds
        squares, gaps = np.diff(even.positive**2, prepend=0), np.diff(even.positive, prepend=0)

        def derivative(step: Rows, rows: NDArray[np.intp]) -> tuple[Rows, Rows]:
            part, edges = fit.select_rows(rows), step[:, None] * even.edges
            tails = (squares * part.tail(edges)).sum(axis=1)
            value = step * tails - (gaps * part.tail_moment(edges)).sum(axis=1)
            return value, tails - step * (even.edges**2 * part.abs_pdf(edges)).sum(axis=1)

        start = fit.abs_quantile(1 / (4 * count)) / count
        high = statistics.unit / even.outermost
        root = increasing_root(derivative, np.minimum(start, high) / 8, high, 1.25 * start)
        finite = np.isfinite(fit.partial_moments(np.zeros_like(start))[2])
        return np.where(finite, np.minimum(even.outermost * root, largest), largest)
