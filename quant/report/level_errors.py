"""The error of rounding to a set of levels that grows with the clip bound, averaged over bins and at points.

Let Q round to the nearest of the levels y_j, with edges e_j between their cells. If the levels are multiplied by t, the
mean error over a bin from a to b follows from a function G that is known in closed form in every cell:

    1 / (b - a) * integral of (x - t Q(x / t))^2 dx from a to b = t^3 / (b - a) * (G(b / t) - G(a / t)),

where G(x) = (x - y_j)^3 / 3 + c_j in cell j, and the constants c_j make G continuous. For the absolute error, t^3
becomes t^2, and G(x) = (x - y_j) |x - y_j| / 2 + c_j.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LevelErrors:
    """A set of levels (L,), ascending, in any unit."""

    levels: Floats

    @cached_property
    def edges(self) -> Floats:
        """The edges (L - 1,) between the cells of the levels."""
        return (self.levels[1:] + self.levels[:-1]) / 2

    def over_bins(self, bins: Floats, factors: Floats) -> tuple[Floats, Floats]:
        """Return the mean absolute and the mean squared error over each bin, for each factor: (T, B) both.

        Args:
            bins: Edges of the bins (B + 1,), ascending.
            factors: Factors t of the levels (T,), above zero.
        """
        x = bins / factors[:, None]
        cells = np.searchsorted(self.edges, x)
        offset = x - self.levels[cells]
        absolute = factors[:, None] ** 2 * np.diff(offset * np.abs(offset) / 2 + self._constants(1)[cells], axis=1)
        squared = factors[:, None] ** 3 * np.diff(offset**3 / 3 + self._constants(2)[cells], axis=1)
        width = np.diff(bins)
        return np.maximum(absolute, 0) / width, np.maximum(squared, 0) / width

    def at_points(self, points: Floats, factors: Floats) -> tuple[Floats, Floats]:
        """Return the absolute and the squared error of points (P,), for each factor: (T, P) both."""
        x = points / factors[:, None]
        error = np.abs(x - self.levels[np.searchsorted(self.edges, x)]) * factors[:, None]
        return error, error**2

    def _constants(self, power: int) -> Floats:
        """Return the constants c_j (L,) of the absolute error (power 1) or of the squared error (power 2)."""
        lower, upper = self.edges - self.levels[:-1], self.edges - self.levels[1:]
        rise = np.abs(lower) ** power * lower - np.abs(upper) ** power * upper
        return np.concatenate([[0.0], np.cumsum(rise / (power + 1))])
