"""The bound that clips nothing."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quant.methods.clipping.base import ClipRuleBase
from quant.methods.distributions.fit import Fit
from quant.methods.distributions.statistics import RowStatistics


class MinMax(ClipRuleBase):
    """The largest |w| of the row: nothing is clipped."""

    name: Literal["minmax"] = "minmax"

    def bound(self, statistics: RowStatistics, fit: Fit, bits: int) -> NDArray[np.float64]:
        """The bound (R,) in the weight's unit; 0 for a row of zeros."""
        return statistics.max_abs
