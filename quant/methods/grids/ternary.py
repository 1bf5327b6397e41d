"""Ternary grids: the levels -s, 0 and s, with a threshold t up to which a weight becomes zero."""

from abc import abstractmethod
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from quant.methods.clipping.mse import Mse
from quant.methods.distributions.fit import Fit
from quant.methods.distributions.sample import magnitude_bins
from quant.methods.distributions.statistics import RowStatistics
from quant.methods.grids.base import IntegerGrid
from quant.methods.grids.codebook import Rows, TernaryCodebook


class TernaryBase(IntegerGrid):
    """A ternary grid, whose threshold t and level s a subclass places.

    See docs/methods.md, 'Grids and expected error'.
    """

    widths: ClassVar[range] = range(2, 3)
    direct: ClassVar[bool] = True

    @abstractmethod
    def threshold_and_level(self, statistics: RowStatistics, fit: Fit, clip: Rows) -> tuple[Rows, Rows]:
        """Return t and s (R,) in the weight's unit."""

    def build(self, statistics: RowStatistics, fit: Fit, clip: Rows, bits: int) -> TernaryCodebook:
        """Return levels (R, 3); a row of zeros gets scale 1."""
        threshold, level = self.threshold_and_level(statistics, fit, clip)
        scale = level.astype(np.float32)
        return TernaryCodebook(np.where(scale > 0, scale, np.float32(1)), threshold)

    def with_scale(self, scale: NDArray[np.float32], bits: int) -> TernaryCodebook:
        """Return the codebook with this level (R,) of each row, and thresholds at half of it."""
        return TernaryCodebook(scale, scale.astype(np.float64) / 2)


class TernaryTquant(TernaryBase):
    """Three levels with the threshold at a third of the bound and the level at two thirds (Yvinec et al., 2023).

    t = clip / 3 and s = 2 clip / 3 minimise the largest error, which is clip / 3.
    """

    name: Literal["ternary_tquant"] = "ternary_tquant"

    def threshold_and_level(self, statistics: RowStatistics, fit: Fit, clip: Rows) -> tuple[Rows, Rows]:
        """Return t = clip / 3 and s = 2 clip / 3 (R,)."""
        return clip / 3, 2 * clip / 3


class TernaryMquant(TernaryBase):
    """Three levels of equal probability under the fitted distribution, with s = 2 t (Yvinec et al., 2023).

    P(|X| > t) = 2/3, so that each level has a third of the weights; t is at most half of the bound.
    """

    name: Literal["ternary_mquant"] = "ternary_mquant"

    def threshold_and_level(self, statistics: RowStatistics, fit: Fit, clip: Rows) -> tuple[Rows, Rows]:
        """Return the t (R,) with P(|X| > t) = 2/3, at most clip / 2, and s = 2 t."""
        threshold = np.minimum(fit.abs_quantile(2 / 3), clip / 2)
        return threshold, 2 * threshold


class TernaryTwn(TernaryBase):
    """Three levels with t = 0.7 E|w| and s the mean magnitude above t, measured on the weights (Li and Liu, 2016)."""

    name: Literal["ternary_twn"] = "ternary_twn"

    def threshold_and_level(self, statistics: RowStatistics, fit: Fit, clip: Rows) -> tuple[Rows, Rows]:
        """Return t = 0.7 E|w| and s = E[|w| given |w| > t] (R,), from the bins."""
        threshold = 0.7 * statistics.sum_abs / np.maximum(statistics.count, 1)
        points, counts = magnitude_bins(statistics)
        above = counts * (points > threshold[:, None])
        total = above.sum(axis=1)
        mean = (above * points).sum(axis=1) / np.where(total > 0, total, np.inf)
        return threshold, np.where(total > 0, mean, statistics.max_abs)


class TernaryOptimal(TernaryBase):
    """Three levels of least expected squared error under the fitted distribution (Max, 1960, for three levels).

    t = s / 2 and s = E[|X| given |X| > t]: the bound of the mse clip rule at 2 bits.
    """

    name: Literal["ternary_optimal"] = "ternary_optimal"

    def threshold_and_level(self, statistics: RowStatistics, fit: Fit, clip: Rows) -> tuple[Rows, Rows]:
        """Return t = s / 2 and s (R,), the bound of the mse clip rule at 2 bits."""
        level = Mse().bound(statistics, fit, 2)
        return level / 2, level
