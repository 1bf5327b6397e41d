"""What every clip rule has in common."""

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from quant.methods.distributions.fit import Fit
from quant.methods.distributions.statistics import RowStatistics


class ClipRuleBase(BaseModel):
    """A way to derive the bound beyond which weights are clipped."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    by_row: ClassVar[bool] = True
    """Whether a row's bound follows from that row alone."""

    @abstractmethod
    def bound(self, statistics: RowStatistics, fit: Fit, bits: int) -> NDArray[np.float64]:
        """The bound (R,) in the weight's unit, at most the largest |w|; 0 for a row of zeros."""
