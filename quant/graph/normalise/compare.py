"""Comparison of the outputs of two forms of a model."""

from collections.abc import Container, Sequence
from typing import Any

import numpy as np

TOLERANCE = {"float16": 2e-2, "float32": 1e-3, "float64": 1e-3}
"""The largest accepted error of an output, as a share of its largest magnitude. Other kernels round differently, and
their errors are well below this; a wrong conversion is well above."""


def difference(expected: Sequence[Any], actual: Sequence[Any], ignored: Container[int] = ()) -> str | None:
    """Return a description of the first output that differs, or None if all agree.

    Floats agree within `TOLERANCE`. Integers, booleans and strings must be equal.

    Args:
        expected: the outputs of one form, arrays or sequences.
        actual: the outputs of the other form, in the same order.
        ignored: the numbers of the outputs that depend on random numbers.
    """
    if len(expected) != len(actual):
        return f"{len(actual)} outputs instead of {len(expected)}"
    pairs = enumerate(zip(expected, actual, strict=True))
    faults = (_output_difference(number, a, b) for number, (a, b) in pairs if number not in ignored)
    return next((fault for fault in faults if fault is not None), None)


def _output_difference(number: int, expected: Any, actual: Any) -> str | None:
    if not isinstance(expected, np.ndarray) or expected.dtype.kind not in "fiub":
        return None if np.array_equal(expected, actual) else f"output {number} differs"
    if expected.shape != actual.shape:
        return f"output {number} has the shape {list(actual.shape)} instead of {list(expected.shape)}"
    is_float = expected.dtype.kind == "f"
    scale = float(np.abs(expected[np.isfinite(expected)]).max(initial=0)) if is_float else 0.0
    limit = TOLERANCE.get(str(expected.dtype), 0.0) * scale
    if np.allclose(expected, actual, rtol=0, atol=limit, equal_nan=is_float):
        return None
    error = float(np.nanmax(np.abs(expected.astype(float) - actual.astype(float))))
    return f"output {number} differs by {error:.3g}"
