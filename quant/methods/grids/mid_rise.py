"""The grid of equally spaced levels on both sides of zero, without zero itself."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from quant.methods.distributions.fit import Fit
from quant.methods.distributions.statistics import RowStatistics
from quant.methods.grids.base import IntegerGrid
from quant.methods.grids.codebook import MidRiseCodebook, Rows

ZERO_ROW = 1e-6
"""The scale of a row of zeros as a fraction of the least scale of other rows: no level is 0."""


class MidRise(IntegerGrid):
    """Equally spaced levels on both sides of zero: 2^bits of them, one more than uniform has, and none at zero.

    The levels are k scale for odd k = -qmax .. qmax, with qmax = 2^bits - 1 and scale = clip / qmax: at 2 bits -3, -1,
    1 and 3 (the mid-rise quantizer of Max, 1960). A file stores the number (k + qmax) / 2 of a code k. See
    docs/methods.md, 'Grids and expected error'.
    """

    name: Literal["mid_rise"] = "mid_rise"
    widths: ClassVar[range] = range(2, 5)
    mid_rise: ClassVar[bool] = True

    def build(self, statistics: RowStatistics, fit: Fit, clip: Rows, bits: int) -> MidRiseCodebook:
        """Return the codebook whose outermost levels are at -clip and clip (R,), about 0 for a row of zeros."""
        scale = (clip / (2**bits - 1)).astype(np.float32)
        used = scale > 0
        near_zero = np.float32(scale[used].min() * ZERO_ROW if used.any() else ZERO_ROW)
        return self.with_scale(np.where(used, scale, max(near_zero, np.finfo(np.float32).tiny)), bits)

    def with_scale(self, scale: NDArray[np.float32], bits: int) -> MidRiseCodebook:
        """Return the codebook with this half distance (R,) between the levels of each row."""
        return MidRiseCodebook(scale, 2**bits - 1)
