"""A symmetric location-scale family fitted to R rows at once."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Fitted(ABC):
    """X = location + scale Z for each of R rows; `location`, `scale` (above zero) and `shape` are (R,).

    A subclass gives the unit variable Z, symmetric about zero: its density, and for t >= 0 its upper tail
    S(t) = P(Z > t), its partial moments G1(t) = E[Z; Z > t] and G2(t) = E[Z^2; Z > t], and the inverse of S; `shape`
    comes broadcast against t. Arguments of the public methods are (R,) or (R, K), in the weight's unit.
    """

    location: Rows
    scale: Rows
    shape: Rows | None = None
    family: ClassVar[str]
    shape_name: ClassVar[str | None] = None

    @abstractmethod
    def unit_pdf(self, t: Rows, shape: Rows) -> Rows: ...

    @abstractmethod
    def unit_sf(self, t: Rows, shape: Rows) -> Rows: ...

    @abstractmethod
    def unit_partial_moments(self, t: Rows, shape: Rows) -> tuple[Rows, Rows]: ...

    @abstractmethod
    def unit_isf(self, tail: Rows, shape: Rows) -> Rows: ...

    @abstractmethod
    def companding_quantiles(self, tails: Rows) -> Rows:
        """Where the density proportional to f^(1/3) of the unit variable has these upper tails (R, K)."""

    @property
    def parameters(self) -> int:
        """How many numbers were fitted: 2, or 3 with a shape."""
        return 2 if self.shape is None else 3

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """The same for some of the rows."""
        shape = None if self.shape is None else self.shape[rows]
        return replace(self, location=self.location[rows], scale=self.scale[rows], shape=shape)

    def spread(self, rows: NDArray[np.bool_]) -> Self:
        """The same as the fit of some of R rows, those of the mask (R,): NaN for the others."""

        def among(values: Rows) -> Rows:
            all_rows = np.full(len(rows), np.nan)
            all_rows[rows] = values
            return all_rows

        shape = None if self.shape is None else among(self.shape)
        return replace(self, location=among(self.location), scale=among(self.scale), shape=shape)

    def pdf(self, x: Rows) -> Rows:
        t, _, scale, shape = self._standardise(x)
        return self.unit_pdf(np.abs(t), shape) / scale

    def sf(self, x: Rows) -> Rows:
        """P(X > x), without cancellation for large x."""
        t, _, _, shape = self._standardise(x)
        tail = self.unit_sf(np.abs(t), shape)
        return np.where(t >= 0, tail, 1 - tail)

    def cdf(self, x: Rows) -> Rows:
        """P(X <= x), without cancellation for small x."""
        t, _, _, shape = self._standardise(x)
        tail = self.unit_sf(np.abs(t), shape)
        return np.where(t <= 0, tail, 1 - tail)

    def tail(self, bound: Rows) -> Rows:
        """P(|X| > bound)."""
        return self.sf(bound) + self.cdf(-bound)

    def abs_pdf(self, bound: Rows) -> Rows:
        """The density of |X|."""
        return self.pdf(bound) + self.pdf(-bound)

    def tail_moment(self, bound: Rows) -> Rows:
        """E[|X|; |X| > bound]; infinite where the mean is."""
        upper, lower = self._tail_moment(bound, 1), self._tail_moment(bound, -1)
        return upper + lower

    def abs_quantile(self, tail: float) -> Rows:
        """The bound (R,) with P(|X| > bound) = tail if the location were zero: where Newton starts."""
        half = np.full_like(self.scale, tail / 2)
        return self.scale * self.unit_isf(half, self.shape_for(half)) + np.abs(self.location)

    def partial_moments(self, x: Rows) -> tuple[Rows, Rows, Rows]:
        """P(X > x), E[X; X > x] and E[X^2; X > x]; x may be infinite."""
        t, location, scale, shape = self._standardise(x)
        magnitude = np.where(np.isfinite(t), np.abs(t), 0)
        tail = self.unit_sf(magnitude, shape)
        first, second = self.unit_partial_moments(magnitude, shape)
        beyond = np.isinf(t)
        tail, first = np.where(beyond, 0, tail), np.where(beyond, 0, first)
        second = np.where(beyond, 0, second)
        whole = 2 * self.unit_partial_moments(np.zeros_like(magnitude), shape)[1]
        tail = np.where(t >= 0, tail, 1 - tail)
        mean = location * tail + scale * first
        with np.errstate(invalid="ignore"):  # an infinite moment less itself: the caller sees NaN
            second = np.where(t >= 0, second, whole - second)
            square = location**2 * tail + 2 * location * scale * first + scale**2 * second
        return tail, mean, square

    def _tail_moment(self, bound: Rows, side: int) -> Rows:
        """E[side X; side X > bound], for one side."""
        location, scale, shape = self._columns(bound)
        t = (bound - side * location) / scale
        tail = self.unit_sf(np.abs(t), shape)
        first = self.unit_partial_moments(np.abs(t), shape)[0]
        return side * location * np.where(t >= 0, tail, 1 - tail) + scale * first

    def _standardise(self, x: Rows) -> tuple[Rows, Rows, Rows, Rows]:
        location, scale, shape = self._columns(x)
        return (x - location) / scale, location, scale, shape

    def _columns(self, x: Rows) -> tuple[Rows, Rows, Rows]:
        location, scale = (self.location, self.scale) if x.ndim == 1 else (self.location[:, None], self.scale[:, None])
        return location, scale, self.shape_for(x)

    def shape_for(self, x: Rows) -> Rows:
        """The shape, to go with x of (R,) or (R, K); anything of the right size where the family has none."""
        shape = self.scale if self.shape is None else self.shape
        return shape if x.ndim == 1 else shape[:, None]


def join(parts: Sequence[Fitted]) -> Fitted:
    """The fits of one family to consecutive rows as one."""
    shapes = [part.shape for part in parts if part.shape is not None]
    return replace(
        parts[0],
        location=np.concatenate([part.location for part in parts]),
        scale=np.concatenate([part.scale for part in parts]),
        shape=np.concatenate(shapes) if shapes else None,
    )
