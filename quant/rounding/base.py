"""What every rounding has in common."""

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Column = NDArray[np.float64]
ToGrid = Callable[[Column, int], Column]
"""Takes the weights of one input (G, O) and that input's number to the nearest values that the grid has."""


class RoundingBase(BaseModel):
    """A way to choose a level for each weight; the grid is given."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    needs_data: ClassVar[bool] = False

    @abstractmethod
    def round(self, matrix: NDArray[np.float64], hessian: NDArray[np.float64], to_grid: ToGrid) -> NDArray[np.float64]:
        """Values on the grid (G, O, K) for weights (G, O, K) whose inputs have second moments `hessian` (G, K, K)."""
