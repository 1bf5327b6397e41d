"""Equally spaced levels."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from quant.fit import Fit
from quant.grids.codebook import UniformCodebook
from quant.statistics import RowStatistics


class Uniform(BaseModel):
    """Equally spaced levels, symmetric about zero: 2^bits - 1 of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Literal["uniform"] = "uniform"

    def build(self, statistics: RowStatistics, fit: Fit, clip: NDArray[np.float64], bits: int) -> UniformCodebook:
        """The codebook whose outermost levels are at +-clip (R,); a row of zeros gets scale 1."""
        qmax = 2 ** (bits - 1) - 1
        scale = (clip / qmax).astype(np.float32)
        return UniformCodebook(np.where(scale > 0, scale, np.float32(1)), qmax)
