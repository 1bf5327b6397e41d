"""The interface of roundings, and the rounding problem of one layer."""

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from quant.methods.grids.codebook import AnyCodebook
from quant.methods.plug_in import PlugIn

Matrix = NDArray[np.floating]
"""Weights (G, O, K): each of the O outputs of G groups is a sum over K inputs."""
Column = NDArray[np.float64]
ToGrid = Callable[[Column, int], Column]
"""A function that maps the weights (G, O) of the input with this number to the nearest levels."""


class Problem(Protocol):
    """The weights of a layer with the second moments of its inputs."""

    @property
    def matrix(self) -> Matrix:
        """The weights (G, O, K)."""

    @property
    def hessian(self) -> NDArray[np.float64]:
        """The second moments E[x x^T] (G, K, K) of the inputs."""

    def nearest(self, codebook: AnyCodebook) -> Matrix:
        """Return the level nearest to each weight (G, O, K)."""

    def to_grid(self, codebook: AnyCodebook) -> ToGrid:
        """Return the function that rounds the weights of one input."""


class RoundingBase(PlugIn):
    """A rule that chooses a level of a codebook for each weight."""

    needs_data: ClassVar[bool] = False
    """True if the rounding needs calibration data."""
    needs_moments: ClassVar[bool] = False
    """True if the rounding needs the second moments of the layer's inputs, measured or inferred."""
    for_blocks: ClassVar[bool] = False
    """True if the rounding is for blocks and recurrent layers with measured moments; others are rounded to nearest."""
    reconstructs: ClassVar[bool] = False
    """True if layers are rounded again for the inputs that the quantized model gives them, once all are chosen."""

    def for_search(self) -> "RoundingBase":
        """Return a rounding that takes less time and orders codebooks by their errors as this one does."""
        return self

    @abstractmethod
    def round(self, problem: Problem, codebook: AnyCodebook) -> Matrix:
        """Return a level of the codebook for each weight of the problem: (G, O, K)."""
