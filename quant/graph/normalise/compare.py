"""Whether two forms of a model give the same outputs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

TOLERANCE = {"float16": 2e-2, "float32": 1e-3, "float64": 1e-3}
"""By which share of an output's largest magnitude it may differ: other kernels round otherwise, errors are larger."""


def difference(expected: Sequence[Any], actual: Sequence[Any]) -> str | None:
    """What differs first; None where nothing does. Integers, booleans and strings must be equal."""
    if len(expected) != len(actual):
        return f"{len(actual)} outputs instead of {len(expected)}"
    for number, (a, b) in enumerate(zip(expected, actual, strict=True)):
        if not isinstance(a, np.ndarray) or a.dtype.kind not in "fiub":
            if not np.array_equal(a, b):
                return f"output {number} differs"
            continue
        if a.shape != b.shape:
            return f"output {number} has the shape {list(b.shape)} instead of {list(a.shape)}"
        scale = float(np.abs(a[np.isfinite(a)]).max(initial=0)) if a.dtype.kind == "f" else 0.0
        bound = TOLERANCE.get(str(a.dtype), 0.0) * scale
        if not np.allclose(a, b, rtol=0, atol=bound, equal_nan=a.dtype.kind == "f"):
            return f"output {number} differs by {float(np.nanmax(np.abs(a.astype(float) - b.astype(float)))):.3g}"
    return None
