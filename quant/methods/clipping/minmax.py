"""The clip rule that clips nothing."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from quant.methods.clipping.base import ClipRuleBase
from quant.methods.distributions.fit import Fit
from quant.methods.distributions.statistics import RowStatistics


class MinMax(ClipRuleBase):
    """The largest |w| of the row, so that nothing is clipped."""

    name: Literal["minmax"] = "minmax"
    clips: ClassVar[bool] = False

    def bound(self, statistics: RowStatistics, fit: Fit, bits: int, *, mid_rise: bool = False) -> NDArray[np.float64]:
        """Return the largest |w| (R,)."""
        return statistics.max_abs
