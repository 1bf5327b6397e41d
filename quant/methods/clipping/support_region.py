"""The bound of the Laplacian support-region rule, one for the layer."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from quant.methods.clipping.base import ClipRuleBase
from quant.methods.clipping.root import Rows, increasing_root
from quant.methods.distributions.fit import Fit
from quant.methods.distributions.statistics import RowStatistics


class SupportRegion(ClipRuleBase):
    """The support of least squared error for a Laplacian layer and 2^bits mid-rise levels, the same for all rows."""

    name: Literal["support_region"] = "support_region"
    by_row: ClassVar[bool] = False

    def bound(self, statistics: RowStatistics, fit: Fit, bits: int) -> NDArray[np.float64]:
        """The layer's bound, at most each row's largest |w| (R,): the layer's mean |w| times a factor of the bits."""
        scale = statistics.sum_abs.sum() / max(int(statistics.nonzero.sum()), 1)
        bound: NDArray[np.float64] = np.minimum(scale * support(bits), statistics.max_abs)
        return bound


def support(bits: int) -> float:
    """x_max of least mean squared error for the unit Laplacian and 2^bits mid-rise levels.

    Peric et al. (2021), 2 bits: u/2 - 1 + 2 (u - 1) e^-u = 0, x_max = 2u = 3.0756; the same condition for any width:
    D (1/4 + sum 2k e^-kD) = 1/2 + sum (1 + kD) e^-kD over k = 1 .. M-1, x_max = M D, M = 2^(bits-1).
    """
    half = 2 ** (bits - 1)
    k = np.arange(1, half)

    def slope(step: Rows, _: NDArray[np.intp]) -> tuple[Rows, Rows]:
        decay = np.exp(-k * step[:, None])
        value = step * (0.25 + (2 * k * decay).sum(axis=1)) - 0.5 - ((1 + k * step[:, None]) * decay).sum(axis=1)
        bend = 0.25 + (2 * k * decay).sum(axis=1) - step * (k**2 * decay).sum(axis=1)
        return value, bend

    low, high = np.array([1e-3]), np.array([4.0])
    return float(half * increasing_root(slope, low, high, np.sqrt(low * high))[0])
