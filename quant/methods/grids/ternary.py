"""Three levels: -s, 0 and s, with a threshold t below which a weight becomes zero."""

from abc import abstractmethod
from typing import ClassVar, Literal

import numpy as np

from quant.methods.clipping.mse import Mse
from quant.methods.distributions.fit import Fit
from quant.methods.distributions.sample import folded
from quant.methods.distributions.statistics import RowStatistics
from quant.methods.grids.base import GridBase
from quant.methods.grids.codebook import Rows, TernaryCodebook


class TernaryBase(GridBase):
    """A ternary grid; subclasses say where its threshold and its level are."""

    widths: ClassVar[range] = range(2, 3)
    integer_levels: ClassVar[bool] = True

    @abstractmethod
    def threshold_and_level(self, statistics: RowStatistics, fit: Fit, clip: Rows) -> tuple[Rows, Rows]:
        """t and s (R,) in the weight's unit."""

    def build(self, statistics: RowStatistics, fit: Fit, clip: Rows, bits: int) -> TernaryCodebook:
        """Levels (R, 3); a row of zeros gets scale 1."""
        threshold, level = self.threshold_and_level(statistics, fit, clip)
        scale = level.astype(np.float32)
        return TernaryCodebook(np.where(scale > 0, scale, np.float32(1)), threshold)


class TernaryTquant(TernaryBase):
    """Threshold and level at a third and two thirds of the bound: the least largest error (Yvinec et al., 2023)."""

    name: Literal["ternary_tquant"] = "ternary_tquant"

    def threshold_and_level(self, statistics: RowStatistics, fit: Fit, clip: Rows) -> tuple[Rows, Rows]:
        return clip / 3, 2 * clip / 3


class TernaryMquant(TernaryBase):
    """Equal mass on the three levels under the fitted distribution, s = 2t (Yvinec et al., 2023)."""

    name: Literal["ternary_mquant"] = "ternary_mquant"

    def threshold_and_level(self, statistics: RowStatistics, fit: Fit, clip: Rows) -> tuple[Rows, Rows]:
        threshold = np.minimum(fit.abs_quantile(2 / 3), clip / 2)
        return threshold, 2 * threshold


class TernaryTwn(TernaryBase):
    """Threshold 0.7 E|w|, level the mean of what lies above, both on the weights (Li and Liu, 2016)."""

    name: Literal["ternary_twn"] = "ternary_twn"

    def threshold_and_level(self, statistics: RowStatistics, fit: Fit, clip: Rows) -> tuple[Rows, Rows]:
        threshold = 0.7 * statistics.sum_abs / np.maximum(statistics.count, 1)
        points, counts = folded(statistics)
        above = counts * (points > threshold[:, None])
        total = above.sum(axis=1)
        mean = (above * points).sum(axis=1) / np.where(total > 0, total, np.inf)
        return threshold, np.where(total > 0, mean, statistics.max_abs)


class TernaryOptimal(TernaryBase):
    """The three levels of least mean squared error under the fitted distribution: t = s/2, s = E[|w|; |w| > t]."""

    name: Literal["ternary_optimal"] = "ternary_optimal"

    def threshold_and_level(self, statistics: RowStatistics, fit: Fit, clip: Rows) -> tuple[Rows, Rows]:
        level = Mse().bound(statistics, fit, 2)
        return level / 2, level
