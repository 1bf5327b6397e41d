"""A symmetric location-scale family fitted to R rows at once: density, tails, quantiles and partial moments."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class FittedFamily(ABC):
    """The distribution X = location + scale Z of each of R rows, with Z symmetric about zero.

    A subclass defines the unit variable Z through

        f(t)            density,
        S(t)  = P(Z > t)        upper tail,
        G1(t) = E[Z; Z > t]     first partial moment,
        G2(t) = E[Z^2; Z > t]   second partial moment,

    each for t >= 0, and the inverse of S. Arguments of the methods of Z are (R,) or (R, K), with `shape` broadcast
    against them. Arguments of the methods of X are (R,) or (R, K) in the weight's unit. See docs/methods.md,
    'Distributions'.

    Attributes:
        location: Centre of the distribution (R,), in the weight's unit.
        scale: Scale (R,), above zero, in the weight's unit.
        shape: Shape parameter (R,), or None for a family without one.
        family: Name of the family in the registry.
        shape_name: Name of the shape parameter in reports.
    """

    location: Rows
    scale: Rows
    shape: Rows | None = None
    family: ClassVar[str]
    shape_name: ClassVar[str | None] = None

    @abstractmethod
    def unit_pdf(self, t: Rows, shape: Rows) -> Rows:
        """Return the density f(t) of the unit variable."""

    @abstractmethod
    def unit_sf(self, t: Rows, shape: Rows) -> Rows:
        """Return the upper tail S(t) of the unit variable."""

    @abstractmethod
    def unit_partial_moments(self, t: Rows, shape: Rows) -> tuple[Rows, Rows]:
        """Return the partial moments G1(t) and G2(t) of the unit variable; infinite where the moment is."""

    @abstractmethod
    def unit_isf(self, tail: Rows, shape: Rows) -> Rows:
        """Return the t with S(t) = tail, for tails between 0 and 1/2."""

    @abstractmethod
    def companding_quantiles(self, tails: Rows) -> Rows:
        """Return the values with these upper tails (R, K) under the density proportional to f^(1/3).

        These are the levels of a fine optimal quantizer (Panter and Dite, 1951), the start of Lloyd-Max.
        """

    @property
    def parameters(self) -> int:
        """The number of fitted parameters: 2, or 3 with a shape."""
        return 2 if self.shape is None else 3

    def select_rows(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """Return the fit of the rows in a mask (R,) or a list of row numbers."""
        shape = None if self.shape is None else self.shape[rows]
        return replace(self, location=self.location[rows], scale=self.scale[rows], shape=shape)

    def scatter(self, mask: NDArray[np.bool_]) -> Self:
        """Return the fit with its rows placed where `mask` (R,) is true, and NaN in the other rows."""

        def place(values: Rows) -> Rows:
            all_rows = np.full(len(mask), np.nan)
            all_rows[mask] = values
            return all_rows

        shape = None if self.shape is None else place(self.shape)
        return replace(self, location=place(self.location), scale=place(self.scale), shape=shape)

    def pdf(self, x: Rows) -> Rows:
        """Return the density of X at x."""
        t, _, scale, shape = self._standardise(x)
        return self.unit_pdf(np.abs(t), shape) / scale

    def sf(self, x: Rows) -> Rows:
        """Return P(X > x), without cancellation for large x."""
        t, _, _, shape = self._standardise(x)
        tail = self.unit_sf(np.abs(t), shape)
        return np.where(t >= 0, tail, 1 - tail)

    def cdf(self, x: Rows) -> Rows:
        """Return P(X <= x), without cancellation for small x."""
        t, _, _, shape = self._standardise(x)
        tail = self.unit_sf(np.abs(t), shape)
        return np.where(t <= 0, tail, 1 - tail)

    def tail(self, bound: Rows) -> Rows:
        """Return P(|X| > bound)."""
        return self.sf(bound) + self.cdf(-bound)

    def abs_pdf(self, bound: Rows) -> Rows:
        """Return the density of |X| at the bound."""
        return self.pdf(bound) + self.pdf(-bound)

    def tail_moment(self, bound: Rows) -> Rows:
        """Return E[|X|; |X| > bound]; infinite where the mean is."""
        upper, lower = self._tail_moment(bound, 1), self._tail_moment(bound, -1)
        return upper + lower

    def abs_quantile(self, tail: float) -> Rows:
        """Return the bound (R,) with P(|X - location| > bound) = tail, plus |location|: a start for Newton."""
        half = np.full_like(self.scale, tail / 2)
        return self.scale * self.unit_isf(half, self.shape_for(half)) + np.abs(self.location)

    def partial_moments(self, x: Rows) -> tuple[Rows, Rows, Rows]:
        """Return P(X > x), E[X; X > x] and E[X^2; X > x]; x may be infinite.

        A second moment that is infinite comes out infinite, or NaN for x below the location.
        """
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
        with np.errstate(invalid="ignore"):  # infinity minus infinity: the caller sees NaN
            second = np.where(t >= 0, second, whole - second)
            square = location**2 * tail + 2 * location * scale * first + scale**2 * second
        return tail, mean, square

    def shape_for(self, x: Rows) -> Rows:
        """Return the shape broadcast against x of (R,) or (R, K); any array of that size for a family without one."""
        shape = self.scale if self.shape is None else self.shape
        return shape if x.ndim == 1 else shape[:, None]

    def _tail_moment(self, bound: Rows, side: int) -> Rows:
        """Return E[side X; side X > bound] for side 1 or -1."""
        location, scale, shape = self._columns(bound)
        t = (bound - side * location) / scale
        tail = self.unit_sf(np.abs(t), shape)
        first = self.unit_partial_moments(np.abs(t), shape)[0]
        return side * location * np.where(t >= 0, tail, 1 - tail) + scale * first

    def _standardise(self, x: Rows) -> tuple[Rows, Rows, Rows, Rows]:
        """Return (x - location) / scale, with location, scale and shape broadcast against x."""
        location, scale, shape = self._columns(x)
        return (x - location) / scale, location, scale, shape

    def _columns(self, x: Rows) -> tuple[Rows, Rows, Rows]:
        """Return location, scale and shape broadcast against x of (R,) or (R, K)."""
        location, scale = (self.location, self.scale) if x.ndim == 1 else (self.location[:, None], self.scale[:, None])
        return location, scale, self.shape_for(x)


def concatenate_rows(parts: Sequence[FittedFamily]) -> FittedFamily:
    """Return the fits of one family to consecutive rows as one fit."""
    shapes = [part.shape for part in parts if part.shape is not None]
    return replace(
        parts[0],
        location=np.concatenate([part.location for part in parts]),
        scale=np.concatenate([part.scale for part in parts]),
        shape=np.concatenate(shapes) if shapes else None,
    )
