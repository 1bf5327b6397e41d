"""The interface of grids."""

from abc import abstractmethod
from typing import ClassVar

from quant.methods.distributions.fit import Fit
from quant.methods.distributions.statistics import RowStatistics
from quant.methods.grids.codebook import AnyCodebook, Rows
from quant.methods.plug_in import PlugIn


class GridBase(PlugIn):
    """A rule that places the levels of a quantizer. See docs/methods.md, 'Grids and expected error'."""

    widths: ClassVar[range] = range(2, 9)
    """The bits that the grid can be built for."""
    integer_levels: ClassVar[bool] = False
    """True if every level is an integer times the scale; a code is then that integer, not an index."""
    uniform: ClassVar[bool] = False
    """True if the levels are equally spaced and every code between -qmax and qmax is one of them."""

    @abstractmethod
    def build(self, statistics: RowStatistics, fit: Fit, clip: Rows, bits: int) -> AnyCodebook:
        """Return the codebook of R rows.

        Args:
            statistics: Statistics of the rows.
            fit: The distributions chosen for the rows.
            clip: Bound (R,) of the outermost levels; ignored by grids that place them themselves.
            bits: Width of a code; there are at most 2^bits levels.
        """
