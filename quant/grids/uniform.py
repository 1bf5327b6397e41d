"""Equally spaced levels."""

from typing import ClassVar, Literal

import numpy as np

from quant.fit import Fit
from quant.grids.base import GridBase
from quant.grids.codebook import Rows, UniformCodebook
from quant.statistics import RowStatistics


class Uniform(GridBase):
    """Equally spaced levels, symmetric about zero: 2^bits - 1 of them."""

    name: Literal["uniform"] = "uniform"
    integer_levels: ClassVar[bool] = True

    def build(self, statistics: RowStatistics, fit: Fit, clip: Rows, bits: int) -> UniformCodebook:
        """The codebook whose outermost levels are at +-clip (R,); a row of zeros gets scale 1."""
        qmax = 2 ** (bits - 1) - 1
        scale = (clip / qmax).astype(np.float32)
        return UniformCodebook(np.where(scale > 0, scale, np.float32(1)), qmax)
