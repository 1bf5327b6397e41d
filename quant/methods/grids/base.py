"""What every grid has in common."""

from abc import abstractmethod
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from quant.methods.distributions.fit import Fit
from quant.methods.distributions.statistics import RowStatistics
from quant.methods.grids.codebook import AnyCodebook, Rows


class GridBase(BaseModel):
    """A way to place the levels; `widths` are the bits that it is made for."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    widths: ClassVar[range] = range(2, 9)
    integer_levels: ClassVar[bool] = False
    """Whether every level is an integer times the scale: a code is then that integer, not an index."""

    @abstractmethod
    def build(self, statistics: RowStatistics, fit: Fit, clip: Rows, bits: int) -> AnyCodebook:
        """The codebook of R rows, whose levels lie between -clip and clip (R,) where the grid has a bound."""
