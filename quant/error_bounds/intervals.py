"""All that a float tensor and its quantized counterpart can be: a box for the one, a box for what they differ by."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Box:
    """Bounds of every element of a tensor, without its batch axis; they broadcast to its shape."""

    low: Array
    high: Array

    @classmethod
    def of(cls, value: NDArray[np.generic]) -> "Box":
        exact = np.asarray(value, np.float64)
        return cls(exact, exact)

    @property
    def largest(self) -> float:
        """The largest |x|."""
        return float(max(np.abs(self.low).max(), np.abs(self.high).max()))

    def norm(self, shape: Sequence[int]) -> float:
        """The largest 2-norm of a tensor of this shape."""
        square = np.maximum(self.low**2, self.high**2)
        with np.errstate(over="ignore"):
            return float(np.sqrt(square.sum() * (np.prod(shape) / square.size)))

    def plus(self, other: "Box") -> "Box":
        return Box(self.low + other.low, self.high + other.high)

    def minus(self, other: "Box") -> "Box":
        return Box(self.low - other.high, self.high - other.low)

    def times(self, factor: Array) -> "Box":
        ends = self.low * factor, self.high * factor
        return Box(np.minimum(*ends), np.maximum(*ends))

    def with_zero(self) -> "Box":
        return Box(np.minimum(self.low, 0), np.maximum(self.high, 0))

    def moved(self, move: Callable[[Array], Array]) -> "Box":
        """Both bounds through something that only moves or averages elements."""
        return Box(move(self.low), move(self.high))

    def product(self, matrix: Array) -> "Box":
        """All that `matrix` (..., O, K) can make of x (..., K) in the box: centre and radius (Rump, 1999)."""
        centre, radius = (self.low + self.high) / 2, (self.high - self.low) / 2
        middle = (matrix @ centre[..., None])[..., 0]
        reach = (np.abs(matrix) @ radius[..., None])[..., 0]
        return Box(middle - reach, middle + reach)


@dataclass(frozen=True)
class ErrorInterval:
    """What a tensor x and its quantized counterpart q can be over all inputs: boxes for x and for q - x, and bounds of
    the 2-norms of x and of q - x, those of one sample's whole tensor."""

    value: Box
    change: Box
    size: float
    error: float

    def moved(self, move: Callable[[Array], Array]) -> "ErrorInterval":
        return replace(self, value=self.value.moved(move), change=self.change.moved(move))

    def gathered(self, axes: tuple[int, ...], *, keepdims: bool) -> "ErrorInterval":
        """One range for all positions along the axes."""
        value, change = (Box(box.low.min(axis=axes, keepdims=keepdims), box.high.max(axis=axes, keepdims=keepdims))
                         for box in (self.value, self.change))  # fmt: skip
        return replace(self, value=value, change=change)

    def with_zero(self) -> "ErrorInterval":
        return replace(self, value=self.value.with_zero(), change=self.change.with_zero())

    @property
    def is_exact(self) -> bool:
        """Whether it is one known tensor, the same on both sides."""
        same = bool(np.array_equal(self.value.low, self.value.high))
        return same and not self.change.low.any() and not self.change.high.any()

    def clipped(self, low: Array | float, high: Array | float) -> "ErrorInterval":
        """min(max(x, low), high) on both sides, which brings two values no further apart."""
        value = self.value.moved(lambda ends: np.minimum(np.maximum(ends, low), high))
        change = _clip_change(self.value, self.change, low, high, both=True)
        keeps_size = np.all(np.asarray(low) <= 0) and np.all(np.asarray(high) >= 0)
        return ErrorInterval(value, change, self.size if keeps_size else np.inf, self.error)

    def rounded(self, low: float, high: float, step: float, shape: Sequence[int]) -> "ErrorInterval":
        """The quantized side alone clipped to [low, high], and moved by half a step at most."""
        half = step / 2
        change = _clip_change(self.value, self.change, low, high, both=False)
        outside = Box(np.minimum(self.value.low - low, 0), np.maximum(self.value.high - high, 0))
        error = self.error + outside.norm(shape) + half * float(np.sqrt(np.prod(shape)))
        return replace(self, change=Box(change.low - half, change.high + half), error=error)


def _clip_change(value: Box, change: Box, low: Array | float, high: Array | float, *, both: bool) -> Box:
    """The bounds of clip(x + d) - clip(x), or of clip(x + d) - x, for x and d in their boxes.

    Either grows with d and is piecewise linear in x: its extremes lie at the ends of x's interval, or where x or x + d
    reaches a bound.
    """

    def extremes(d: Array) -> list[Array]:
        corners = [value.low, value.high, low, high, low - d, high - d]
        inside = [np.clip(corner, value.low, value.high) for corner in corners]
        return [np.clip(x + d, low, high) - (np.clip(x, low, high) if both else x) for x in inside]

    return Box(np.minimum.reduce(extremes(change.low)), np.maximum.reduce(extremes(change.high)))
