"""Boxes and error intervals: all values that a float tensor, and its difference to the quantized one, can have."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Box:
    """Lower and upper bounds of each element of one sample of a tensor; they broadcast to the sample's shape."""

    low: Array
    high: Array

    @classmethod
    def of(cls, value: NDArray[np.generic]) -> "Box":
        """Return the box that holds one value only."""
        exact = np.asarray(value, np.float64)
        return cls(exact, exact)

    @property
    def largest(self) -> float:
        """The largest |x| in the box."""
        return float(max(np.abs(self.low).max(), np.abs(self.high).max()))

    def norm(self, shape: Sequence[int]) -> float:
        """Return the largest 2-norm in the box, broadcast to `shape`."""
        square = np.maximum(self.low**2, self.high**2)
        with np.errstate(over="ignore"):
            return float(np.sqrt(square.sum() * (np.prod(shape) / square.size)))

    def plus(self, other: "Box") -> "Box":
        """Return the box of all sums x + y."""
        return Box(self.low + other.low, self.high + other.high)

    def minus(self, other: "Box") -> "Box":
        """Return the box of all differences x - y."""
        return Box(self.low - other.high, self.high - other.low)

    def times(self, factor: Array) -> "Box":
        """Return the box of all products with a constant."""
        ends = self.low * factor, self.high * factor
        return Box(np.minimum(*ends), np.maximum(*ends))

    def joined(self, other: "Box") -> "Box":
        """Return the smallest box that holds both boxes."""
        return Box(np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    def with_zero(self) -> "Box":
        """Return the smallest box that holds this one and zero."""
        return Box(np.minimum(self.low, 0), np.maximum(self.high, 0))

    def moved(self, move: Callable[[Array], Array]) -> "Box":
        """Return both bounds passed through a function that moves, repeats, averages or clips elements."""
        return Box(move(self.low), move(self.high))

    def product(self, matrix: Array) -> "Box":
        """Return the box of all products of `matrix` (..., O, K) with x (..., K), by centre and radius (Rump, 1999)."""
        centre, radius = (self.low + self.high) / 2, (self.high - self.low) / 2
        middle = (matrix @ centre[..., None])[..., 0]
        reach = (np.abs(matrix) @ radius[..., None])[..., 0]
        return Box(middle - reach, middle + reach)


@dataclass(frozen=True)
class ErrorInterval:
    """Bounds of a tensor x of the float model and of its counterpart q in the quantized model, over all inputs.

    Attributes:
        value: the box of x.
        change: the box of q - x.
        size: the largest 2-norm of one sample of x.
        error: the largest 2-norm of one sample of q - x.
    """

    value: Box
    change: Box
    size: float
    error: float

    def moved(self, move: Callable[[Array], Array]) -> "ErrorInterval":
        """Return the interval with both boxes passed through a function that moves elements; the norms stay."""
        return replace(self, value=self.value.moved(move), change=self.change.moved(move))

    def gathered(self, axes: tuple[int, ...], *, keepdims: bool) -> "ErrorInterval":
        """Return the interval with one range for all positions along `axes`."""

        def gather(box: Box) -> Box:
            return Box(box.low.min(axis=axes, keepdims=keepdims), box.high.max(axis=axes, keepdims=keepdims))

        return replace(self, value=gather(self.value), change=gather(self.change))

    def with_zero(self) -> "ErrorInterval":
        """Return the interval with zero included in both boxes."""
        return replace(self, value=self.value.with_zero(), change=self.change.with_zero())

    def scaled_norms(self, factor: float) -> "ErrorInterval":
        """Return the interval with both norms multiplied by `factor`."""
        return replace(self, size=self.size * factor, error=self.error * factor)

    def tightened(self, shape: Sequence[int]) -> "ErrorInterval":
        """Return the interval with each bound limited by the other.

        A 2-norm is at most that of the box, and no element is larger than the norm.
        """
        size, error = min(self.size, self.value.norm(shape)), min(self.error, self.change.norm(shape))
        change = Box(np.maximum(self.change.low, -error), np.minimum(self.change.high, error))
        return ErrorInterval(self.value, change, size, error)

    @property
    def is_exact(self) -> bool:
        """True if the tensor has one possible value, the same in both models."""
        same = bool(np.array_equal(self.value.low, self.value.high))
        return same and not self.change.low.any() and not self.change.high.any()

    def clipped(self, low: Array | float, high: Array | float) -> "ErrorInterval":
        """Return the interval of min(max(x, low), high) in both models; clipping never moves two values apart."""
        value = self.value.moved(lambda ends: np.minimum(np.maximum(ends, low), high))
        change = _clip_change(self.value, self.change, low, high, both=True)
        shrinks = np.all(np.asarray(low) <= 0) and np.all(np.asarray(high) >= 0)
        return ErrorInterval(value, change, self.size if shrinks else np.inf, self.error)

    def rounded(self, low: float, high: float, step: float, shape: Sequence[int]) -> "ErrorInterval":
        """Return the interval with the quantized tensor alone clipped to [low, high] and rounded to a grid of `step`.

        Rounding moves each element by half a step at most.
        """
        half = step / 2
        change = _clip_change(self.value, self.change, low, high, both=False)
        outside = Box(np.minimum(self.value.low - low, 0), np.maximum(self.value.high - high, 0))
        error = self.error + outside.norm(shape) + half * float(np.sqrt(np.prod(shape)))
        return replace(self, change=Box(change.low - half, change.high + half), error=error)

    def rounded_by_range(self, shape: Sequence[int]) -> "ErrorInterval":
        """Return the interval with the quantized tensor rounded to 256 levels over its own range, zero included.

        The step follows from the largest range that the tensor can have.
        """
        low = min(0.0, float((self.value.low + self.change.low).min()))
        high = max(0.0, float((self.value.high + self.change.high).max()))
        return self.rounded(low, high, (high - low) / 255, shape)


def _clip_change(value: Box, change: Box, low: Array | float, high: Array | float, *, both: bool) -> Box:
    """Return the box of clip(x + d) - clip(x), or of clip(x + d) - x, for x and d in their boxes.

    Either grows with d and is piecewise linear in x: its extremes lie at the ends of x's interval, or where x or x + d
    reaches a bound.
    """

    def extremes(d: Array) -> list[Array]:
        corners = [value.low, value.high, low, high, low - d, high - d]
        inside = [np.clip(corner, value.low, value.high) for corner in corners]
        return [np.clip(x + d, low, high) - (np.clip(x, low, high) if both else x) for x in inside]

    return Box(np.minimum.reduce(extremes(change.low)), np.maximum.reduce(extremes(change.high)))
