"""The interface of grids."""

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

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
    direct: ClassVar[bool] = False
    """True if a DequantizeLinear computes the levels from the codes as they are stored, without other nodes."""
    uniform: ClassVar[bool] = False
    """True if the levels are equally spaced and every code between -qmax and qmax is one of them."""
    mid_rise: ClassVar[bool] = False
    """True if the levels are odd multiples of half their distance, so that zero is none of them."""
    from_weights: ClassVar[bool] = False
    """True if the levels are placed at the weights themselves, where no distribution predicts their error."""

    @property
    def by_row(self) -> bool:
        """True if the levels of a row depend on that row alone."""
        return True

    def rows_per_table(self, rows: int) -> int:
        """Return how many consecutive rows, of `rows` in all, have levels that are the same multiples of their scales.

        It is a divisor of `rows`; 1 unless the grid shares its tables.
        """
        return 1

    @abstractmethod
    def build(self, statistics: RowStatistics, fit: Fit, clip: Rows, bits: int) -> AnyCodebook:
        """Return the codebook of R rows.

        Args:
            statistics: Statistics of the rows.
            fit: The distributions chosen for the rows.
            clip: Bound (R,) of the outermost levels; ignored by grids that place them themselves.
            bits: Width of a code; there are at most 2^bits levels.
        """


class IntegerGrid(GridBase):
    """A grid of which every level is an integer times the scale."""

    integer_levels: ClassVar[bool] = True

    @abstractmethod
    def with_scale(self, scale: NDArray[np.float32], bits: int) -> AnyCodebook:
        """Return the codebook with this scale (R,) of each row."""
