"""The inputs that a model declares: their sizes, and the axis of each that counts the samples of a batch."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

_BATCH_NAME = re.compile(r"n|b|bs|.*batch.*", re.IGNORECASE)
"""The names by which exporters call a free batch size."""


def is_fixed(size: Any) -> bool:
    """Return True if the model fixes the size of an axis; some exporters write -1 for any size."""
    return isinstance(size, int) and size > 0


def sizes_of(value: ir.Value) -> list[int | str] | None:
    """Return the declared sizes, a name (or "?") for each free one; None for an input of unknown rank."""
    if value.shape is None:
        return None
    return [size if isinstance(size, int) else str(size.value or "?") for size in value.shape]


def batch_axis(value: ir.Value) -> int:
    """Return the axis of an input that counts samples.

    It is the first axis with a name such as `batch`, `N` or `batch_size`. Where no axis has one, it is axis 0.
    """
    named = (axis for axis, size in enumerate(sizes_of(value) or ()) if _names_batch(size))
    return next(named, 0)


def names_batch(value: ir.Value) -> bool:
    """Return True if the model gives an axis of the input a name such as `batch`, `N` or `batch_size`."""
    return any(_names_batch(size) for size in sizes_of(value) or ())


def has_fixed_sizes(value: ir.Value) -> bool:
    """Return True if the model fixes every size of the input."""
    sizes = sizes_of(value)
    return sizes is not None and all(map(is_fixed, sizes))


def agree(sizes: Sequence[int | str], shape: Sequence[int]) -> bool:
    """Return True if an array of this shape, of as many axes, has every size that the model fixes."""
    return all(not is_fixed(declared) or declared == size for declared, size in zip(sizes, shape, strict=True))


def fixed_batch(value: ir.Value) -> int | None:
    """Return the batch size that the model fixes for an input; None if it is free or the input has no axis."""
    sizes = sizes_of(value)
    size = sizes[batch_axis(value)] if sizes else None
    return size if isinstance(size, int) and is_fixed(size) else None


def describe_shape(value: ir.Value) -> str:
    """Return the shape of the array that an input accepts, with N for the number of samples."""
    sizes = sizes_of(value)
    if sizes is None:
        return "any shape"
    if sizes:
        sizes[batch_axis(value)] = "N"
    return f"[{', '.join(map(str, sizes))}]"


def describe_feeds(value: ir.Value) -> str:
    """Return the shape of the array that holds complete values of an input, one for each sample."""
    return f"[{', '.join(map(str, ['samples', *(sizes_of(value) or ())]))}]"


def describe_inputs(inputs: Sequence[ir.Value]) -> str:
    """Return name, type and accepted shape of each input as text."""
    return ", ".join(f"{value.name!r} ({describe_type(value)} {describe_shape(value)})" for value in inputs)


def describe_type(value: ir.Value) -> str:
    """Return the type of the values of an input as text."""
    if value.dtype is None:
        return "any"
    return "string" if value.dtype == ir.DataType.STRING else str(value.dtype.numpy())


def takes_type(value: ir.Value, dtype: np.dtype[Any]) -> bool:
    """Return True if an array of this type holds values of the input; strings have any length."""
    if value.dtype == ir.DataType.STRING:
        return dtype.kind == "U"
    return value.dtype is None or dtype == value.dtype.numpy()


def _names_batch(size: int | str) -> bool:
    return isinstance(size, str) and _BATCH_NAME.fullmatch(size) is not None
