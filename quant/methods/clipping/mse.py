"""The clip rule of least expected squared error."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quant.kernel import dispatch
from quant.methods.clipping.base import ClipRuleBase
from quant.methods.clipping.root import Rows, increasing_root
from quant.methods.distributions.fit import Fit
from quant.methods.distributions.statistics import RowStatistics


class Mse(ClipRuleBase):
    """The bound of least expected squared error under the fitted distribution.

    The bound is a = L D, at most the largest |w|. The step D is the root of the derivative of E[(X - Q(X))^2]:

        D sum_(k=1..L) (2 k - 1) T(e_k) = sum_(k=1..L) M(e_k),    e_k = (k - 1/2) D,

    where L = 2^(bits-1) - 1 is the number of positive levels, T(x) = P(|X| > x) and M(x) = E[|X|; |X| > x]. This is
    the condition of Lloyd (1982) for levels that share one step. Newton starts at 1.25 times the step with
    P(|X| > a) = 1 / (4 L). See docs/methods.md, 'Clip bounds'.
    """

    name: Literal["mse"] = "mse"

    def bound(self, statistics: RowStatistics, fit: Fit, bits: int) -> Rows:
        """Return the bound (R,) of least expected squared error, in the weight's unit; 0 for a row of zeros.

        A row whose distribution has no finite variance gets its largest |w|.
        """
        steps = 2 ** (bits - 1) - 1
        if (arguments := fit.loop_arguments()) is not None:
            bounds = np.empty(len(statistics.count))
            dispatch.run("bounds:mse_bounds", len(bounds), steps, *arguments, statistics.max_abs, bounds)
            return bounds
        halves = np.arange(0.5, steps + 0.5)

        def derivative(step: Rows, rows: NDArray[np.intp]) -> tuple[Rows, Rows]:
            part, edges = fit.select_rows(rows), step[:, None] * halves
            tails = (2 * halves * part.tail(edges)).sum(axis=1)
            value = step * tails - part.tail_moment(edges).sum(axis=1)
            return value, tails - step * (halves**2 * part.abs_pdf(edges)).sum(axis=1)

        start = fit.abs_quantile(1 / (4 * steps)) / steps
        largest = statistics.max_abs
        high = statistics.unit / steps
        root = increasing_root(derivative, np.minimum(start, high) / 8, high, 1.25 * start)
        finite = np.isfinite(fit.partial_moments(np.zeros_like(start))[2])
        return np.where(finite, np.minimum(steps * root, largest), largest)
