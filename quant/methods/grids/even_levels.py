"""Equally spaced levels of both signs, in units of the distance between two of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class EvenLevels:
    """The levels of a uniform grid, 0, +-1, +-2 .., or of a mid-rise grid, +-1/2, +-3/2 ..

    Attributes:
        bits: Width of a code.
        mid_rise: True for the mid-rise grid.
    """

    bits: int
    mid_rise: bool

    @property
    def offset(self) -> float:
        """The distance of the levels from integers: 0 or 1/2."""
        return 0.5 if self.mid_rise else 0.0

    @property
    def outermost(self) -> float:
        """The largest level: 2^(bits-1) - 1, or 2^(bits-1) - 1/2 for the mid-rise grid."""
        return (1 << self.bits - 1) - 1 + self.offset

    @property
    def positive(self) -> NDArray[np.float64]:
        """The positive levels (L,), ascending."""
        return np.arange(1 - self.offset, self.outermost + 0.5)

    @property
    def edges(self) -> NDArray[np.float64]:
        """The lower edge (L,) of the cell of each positive level; the first is 0 for the mid-rise grid."""
        return self.positive - 0.5
