"""The values of one output of both models side by side: tensors, sequences, maps and optional values.

A value is what ONNX Runtime returns for an output: an array, a list of values, a dict of values, or None for an empty
optional.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pair = tuple[NDArray[np.generic], NDArray[np.generic]]
"""Two arrays of the same shape: the float model's and the quantized model's."""
HUGE = 1e30
"""The magnitude from which a finite float stands for infinity, such as a mask at the smallest float, -3.4e38."""
MASK_MINIMUM = 1e4
"""The least magnitude of a smaller mask, such as -65504 or -1e9."""
MASK_GAP = 100.0
"""The least ratio of a mask's magnitude to every other value of the output."""
MASK_SPREAD = 0.002
"""The largest relative difference of a mask's values among each other and between the models: scores are added to a
mask."""


class IncomparableError(Exception):
    """The two values have no common positions; the text says why."""


def paired(expected: Any, actual: Any) -> Iterator[Pair]:
    """Yield the arrays of two values that belong together.

    Raises:
        IncomparableError: the values differ in their shape, their length, their keys or their presence.
    """
    if isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            raise IncomparableError(f"the sequence has {len(expected)} elements in float and {len(actual)} quantized")
        for item, other in zip(expected, actual, strict=True):
            yield from paired(item, other)
    elif isinstance(expected, dict) and isinstance(actual, dict):
        if expected.keys() != actual.keys():
            raise IncomparableError("the keys of the map depend on values and differ between the models")
        yield from paired(np.asarray(list(expected.values())), np.asarray([actual[key] for key in expected]))
    elif (expected is None) != (actual is None):
        raise IncomparableError("the optional value is empty in one model only")
    elif expected is not None:
        first, second = np.asarray(expected), np.asarray(actual)
        if first.shape != second.shape:
            shapes = f"{list(first.shape)} in float and {list(second.shape)} quantized"
            raise IncomparableError(f"the shape depends on values and differs between the models: {shapes}")
        yield first, second


def type_name(value: Any) -> str:
    """Return the type of a value as the report shows it, such as `float32` or `sequence of map to float32`."""
    if isinstance(value, list):
        return f"sequence of {type_name(value[0])}" if value else "sequence"
    if isinstance(value, dict):
        return f"map to {np.asarray(list(value.values())).dtype}"
    if value is None:
        return "optional"
    dtype = np.asarray(value).dtype
    return "string" if dtype.kind in "OUS" else str(dtype)


def is_float(values: NDArray[np.generic]) -> bool:
    """Return True for an array of floats."""
    return values.dtype.kind == "f"


def is_narrow_integer(values: NDArray[np.generic]) -> bool:
    """Return True for 8- and 16-bit integers: they hold quantities, such as the grey levels of an image."""
    return values.dtype.kind in "iu" and values.dtype.itemsize <= 2


def special_positions(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_] | None:
    """Return a mask of the positions (N,) that are no quantities; None if there are none.

    These are the positions at which the float model's value is NaN, infinite or a mask, such as -3.4e38 or -65504.

    Args:
        x: the float model's values (N,).
        y: the quantized model's values (N,).
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if x @ x < MASK_MINIMUM**2:
            return None
        magnitude = np.abs(x)
        special: NDArray[np.bool_] = ~(magnitude < HUGE)
        special |= _masks(magnitude, y - x, ~special)
    return special if special.any() else None


def same_specials(x: NDArray[np.float64], y: NDArray[np.float64]) -> int:
    """Return the number of special values (N,) that are the same in both models; masks may differ by 0.2 percent."""
    with np.errstate(invalid="ignore"):
        same = (x == y) | (np.isnan(x) & np.isnan(y)) | (np.abs(y - x) <= MASK_SPREAD * np.abs(x)) & np.isfinite(x)
    return int(np.count_nonzero(same))


def _masks(
    magnitude: NDArray[np.float64], difference: NDArray[np.float64], ordinary: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return the ordinary positions that hold the same mask in both models; a lone magnitude is no mask."""
    nothing = np.zeros_like(ordinary)
    if not ordinary.any():
        return nothing
    largest = magnitude[ordinary].max()
    close = ordinary & (np.abs(magnitude - largest) <= MASK_SPREAD * largest)
    others = magnitude[ordinary & ~close]
    if largest < MASK_MINIMUM or not others.size or others.max() > largest / MASK_GAP:
        return nothing
    masks: NDArray[np.bool_] = close & ~(np.abs(difference) > MASK_SPREAD * largest)
    return masks
