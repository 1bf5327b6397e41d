"""The grid of equally spaced levels."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from quant.methods.distributions.fit import Fit
from quant.methods.distributions.statistics import RowStatistics
from quant.methods.grids.base import IntegerGrid
from quant.methods.grids.codebook import Rows, UniformCodebook


class Uniform(IntegerGrid):
    """Equally spaced levels, symmetric about zero: 2^bits - 1 of them.

    The levels are k scale for k = -qmax .. qmax, with qmax = 2^(bits-1) - 1 and scale = clip / qmax. See
    docs/methods.md, 'Grids and expected error'.
    """

    name: Literal["uniform"] = "uniform"
    direct: ClassVar[bool] = True
    uniform: ClassVar[bool] = True

    def build(self, statistics: RowStatistics, fit: Fit, clip: Rows, bits: int) -> UniformCodebook:
        """Return the codebook whose outermost levels are at -clip and clip (R,); a row of zeros gets scale 1."""
        return self.with_scale(step(clip, bits), bits)

    def with_scale(self, scale: NDArray[np.float32], bits: int) -> UniformCodebook:
        """Return the codebook with this distance (R,) between the levels of each row."""
        return UniformCodebook(scale, 2 ** (bits - 1) - 1)


def step(clip: Rows, bits: int) -> NDArray[np.float32]:
    """Return clip / qmax, the distance between levels, for bounds of any shape; 1 where the bound is 0."""
    scale = (clip / (2 ** (bits - 1) - 1)).astype(np.float32)
    return np.where(scale > 0, scale, np.float32(1))
