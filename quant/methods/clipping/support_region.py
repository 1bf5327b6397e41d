"""The clip rule of the Laplacian support region, with one bound for the layer."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from quant.methods.clipping.base import ClipRuleBase
from quant.methods.clipping.root import Rows, increasing_root
from quant.methods.distributions.fit import Fit
from quant.methods.distributions.statistics import RowStatistics


class SupportRegion(ClipRuleBase):
    """The bound of least squared error for a Laplacian layer and 2^bits mid-rise levels, the same for all rows.

    The bound is m x_max(bits), at most the row's largest |w|, where m is the layer's mean |w| over its non-zero
    weights and x_max the support of the unit Laplacian (Peric et al., 2021). The outermost level of the mid-rise grid
    lies half a step below it. See docs/methods.md, 'Clip bounds'.
    """

    name: Literal["support_region"] = "support_region"
    by_row: ClassVar[bool] = False

    def bound(self, statistics: RowStatistics, fit: Fit, bits: int, *, mid_rise: bool = False) -> NDArray[np.float64]:
        """Return the layer's bound, at most each row's largest |w| (R,), in the weight's unit."""
        scale = statistics.sum_abs.sum() / max(int(statistics.nonzero.sum()), 1)
        outermost = support(bits) * (1 - 2.0**-bits if mid_rise else 1)
        bound: NDArray[np.float64] = np.minimum(scale * outermost, statistics.max_abs)
        return bound


def support(bits: int) -> float:
    """Return the bound x_max of least squared error for the unit Laplacian and 2^bits mid-rise levels.

    With M = 2^(bits-1) positive levels, x_max = M D, and the step D solves

        D (1/4 + sum_(k=1..M-1) 2 k e^(-k D)) = 1/2 + sum_(k=1..M-1) (1 + k D) e^(-k D).

    For 2 bits this is the condition of Peric et al. (2021), u/2 - 1 + 2 (u - 1) e^(-u) = 0 with x_max = 2 u = 3.0756.
    """
    half = 2 ** (bits - 1)
    k = np.arange(1, half)

    def derivative(step: Rows, _: NDArray[np.intp]) -> tuple[Rows, Rows]:
        decay = np.exp(-k * step[:, None])
        value = step * (0.25 + (2 * k * decay).sum(axis=1)) - 0.5 - ((1 + k * step[:, None]) * decay).sum(axis=1)
        curvature = 0.25 + (2 * k * decay).sum(axis=1) - step * (k**2 * decay).sum(axis=1)
        return value, curvature

    low, high = np.array([1e-3]), np.array([4.0])
    return float(half * increasing_root(derivative, low, high, np.sqrt(low * high))[0])
