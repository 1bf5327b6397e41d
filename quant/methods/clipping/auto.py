"""The clip rule that takes the best of several bounds for each row."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from quant.methods.clipping.base import ClipRuleBase
from quant.methods.clipping.empirical import EmpiricalMse, measured_error
from quant.methods.clipping.minmax import MinMax
from quant.methods.clipping.mse import Mse
from quant.methods.distributions.fit import Fit
from quant.methods.distributions.statistics import RowStatistics
from quant.methods.grids.even_levels import EvenLevels


class Auto(ClipRuleBase):
    """The bound of least output error, or of least squared weight error where nothing is known of the layer's input.

    The weight error is measured for the bounds of minmax, mse and empirical_mse. Where the moments of the layer's
    input are known, `quant.weights.output_error` searches the bound of least output error instead. The bounds of
    minmax are also tried for the whole model.
    """

    name: Literal["auto"] = "auto"
    uses_moments: ClassVar[bool] = True

    @property
    def rival(self) -> ClipRuleBase:
        """The rule that clips nothing."""
        return MinMax()

    def bound(self, statistics: RowStatistics, fit: Fit, bits: int, *, mid_rise: bool = False) -> NDArray[np.float64]:
        """Return the bound (R,) of least mean squared weight error among minmax, mse and empirical_mse."""
        rules = (MinMax(), Mse(), EmpiricalMse())
        bounds = [rule.bound(statistics, fit, bits, mid_rise=mid_rise) for rule in rules]
        errors = [measured_error(statistics, bound, EvenLevels(bits, mid_rise))[1] for bound in bounds]
        best: NDArray[np.float64] = np.choose(np.argmin(errors, axis=0), bounds)
        return best
