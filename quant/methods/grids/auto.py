"""The grid of layers whose format a search chooses."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from quant.methods.distributions.fit import Fit
from quant.methods.distributions.statistics import RowStatistics
from quant.methods.grids.base import IntegerGrid
from quant.methods.grids.codebook import Rows, UniformCodebook
from quant.methods.grids.uniform import Uniform


class AutoGrid(IntegerGrid):
    """Chosen for each layer together with its bits, by a budget or an objective; uniform where neither does."""

    name: Literal["auto"] = "auto"
    direct: ClassVar[bool] = True
    uniform: ClassVar[bool] = True

    def build(self, statistics: RowStatistics, fit: Fit, clip: Rows, bits: int) -> UniformCodebook:
        """Return the codebook of the uniform grid."""
        return Uniform().build(statistics, fit, clip, bits)

    def with_scale(self, scale: NDArray[np.float32], bits: int) -> UniformCodebook:
        """Return the codebook of the uniform grid with this distance (R,) between the levels of each row."""
        return Uniform().with_scale(scale, bits)
