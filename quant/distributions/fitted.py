"""A symmetric location-scale family fitted to R rows at once."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from quant.statistics import RowStatistics

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Fitted(ABC):
    """X = location + scale Z for each of R rows; `location` and `scale` are (R,), scale is above zero.

    A subclass gives the unit variable Z, symmetric about zero: its density, and for t >= 0 its upper tail
    S(t) = P(Z > t), its partial moments G1(t) = E[Z; Z > t] and G2(t) = E[Z^2; Z > t], and the inverse of S.
    Arguments of the public methods are (R,) or (R, K), in the weight's unit.
    """

    location: Rows
    scale: Rows
    family: ClassVar[str]
    parameters: ClassVar[int] = 2

    @abstractmethod
    def unit_pdf(self, t: Rows) -> Rows: ...

    @abstractmethod
    def unit_sf(self, t: Rows) -> Rows: ...

    @abstractmethod
    def unit_partial_moments(self, t: Rows) -> tuple[Rows, Rows]: ...

    @abstractmethod
    def unit_isf(self, tail: Rows) -> Rows: ...

    @abstractmethod
    def log_likelihood(self, statistics: RowStatistics) -> Rows:
        """Of the non-zero weights of each row, in nats, (R,)."""

    def pdf(self, x: Rows) -> Rows:
        t, scale = self._standardise(x)
        return self.unit_pdf(np.abs(t)) / scale

    def sf(self, x: Rows) -> Rows:
        """P(X > x), without cancellation for large x."""
        t, _ = self._standardise(x)
        tail = self.unit_sf(np.abs(t))
        return np.where(t >= 0, tail, 1 - tail)

    def tail(self, bound: Rows) -> Rows:
        """P(|X| > bound)."""
        return self.sf(bound) + self._lower(-bound)

    def bound(self, tail: float) -> Rows:
        """The bound (R,) with P(|X| > bound) = tail if the location were zero: where Newton starts."""
        half = np.full_like(self.scale, tail / 2)
        return self.scale * self.unit_isf(half) + np.abs(self.location)

    def partial_moments(self, x: Rows) -> tuple[Rows, Rows, Rows]:
        """P(X > x), E[X; X > x] and E[X^2; X > x]; x may be infinite."""
        t, scale = self._standardise(x)
        magnitude = np.where(np.isfinite(t), np.abs(t), 1e30)
        s0 = self.unit_sf(magnitude)
        s1, s2 = self.unit_partial_moments(magnitude)
        zero = np.zeros_like(magnitude)
        all2 = 2 * self.unit_partial_moments(zero)[1]
        s0, s2 = np.where(t >= 0, s0, 1 - s0), np.where(t >= 0, s2, all2 - s2)
        location = self.location if x.ndim == 1 else self.location[:, None]
        first = location * s0 + scale * s1
        return s0, first, location**2 * s0 + 2 * location * scale * s1 + scale**2 * s2

    def _lower(self, x: Rows) -> Rows:
        t, _ = self._standardise(x)
        tail = self.unit_sf(np.abs(t))
        return np.where(t <= 0, tail, 1 - tail)

    def _standardise(self, x: Rows) -> tuple[Rows, Rows]:
        location, scale = (self.location, self.scale) if x.ndim == 1 else (self.location[:, None], self.scale[:, None])
        return (x - location) / scale, scale
