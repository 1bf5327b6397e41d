"""Every weight goes to its nearest level."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quant.rounding.base import RoundingBase, ToGrid


class Nearest(RoundingBase):
    """Every weight to its nearest level; needs no data."""

    name: Literal["nearest"] = "nearest"

    def round(self, matrix: NDArray[np.float64], hessian: NDArray[np.float64], to_grid: ToGrid) -> NDArray[np.float64]:
        """The nearest values (G, O, K); the moments do not matter."""
        return np.stack([to_grid(matrix[:, :, k], k) for k in range(matrix.shape[2])], axis=2)
