"""The bound that turns out best, row by row."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quant.methods.clipping.base import ClipRuleBase
from quant.methods.clipping.empirical import EmpiricalMse, measured_error
from quant.methods.clipping.minmax import MinMax
from quant.methods.clipping.mse import Mse
from quant.methods.distributions.fit import Fit
from quant.methods.distributions.statistics import RowStatistics


class Auto(ClipRuleBase):
    """For each row the bound of least measured squared error among minmax, the analytical and the empirical one."""

    name: Literal["auto"] = "auto"

    def bound(self, statistics: RowStatistics, fit: Fit, bits: int) -> NDArray[np.float64]:
        """The bound (R,) in the weight's unit; 0 for a row of zeros. The error is measured on the weights."""
        bounds = [rule.bound(statistics, fit, bits) for rule in (MinMax(), Mse(), EmpiricalMse())]
        errors = [measured_error(statistics, bound, bits)[1] for bound in bounds]
        best: NDArray[np.float64] = np.choose(np.argmin(errors, axis=0), bounds)
        return best
