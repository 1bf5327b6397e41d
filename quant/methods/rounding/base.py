"""What every rounding has in common."""

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from quant.methods.grids.codebook import AnyCodebook

Matrix = NDArray[np.floating]
"""Weights (G, O, K): O outputs of each of G groups, each a sum over K inputs."""
Column = NDArray[np.float64]
ToGrid = Callable[[Column, int], Column]
"""Takes the weights of one input (G, O) and that input's number to the nearest values that the grid has."""


class Problem(Protocol):
    """A layer's weights, and the second moments (G, K, K) of its inputs."""

    @property
    def matrix(self) -> Matrix: ...

    @property
    def hessian(self) -> NDArray[np.float64]: ...

    def nearest(self, codebook: AnyCodebook) -> Matrix:
        """The level nearest to each weight."""

    def to_grid(self, codebook: AnyCodebook) -> ToGrid: ...


class RoundingBase(BaseModel):
    """A way to choose a level for each weight; the grid is given."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    needs_data: ClassVar[bool] = False
    needs_moments: ClassVar[bool] = False
    """Of the layer's inputs: measured or, where it needs no data, promised by BatchNormalization."""

    @abstractmethod
    def round(self, problem: Problem, codebook: AnyCodebook) -> Matrix:
        """The problem's weights on the codebook's grid, (G, O, K)."""
