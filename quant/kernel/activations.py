"""Activation counts in equal bins; the NumPy reference is `_count` in `quant.calibration.histogram`."""

import math

import numpy as np

from quant.kernel.compile import Array, compiled


@compiled
def count(first: int, last: int, values: Array, width: int, factor: np.float32, counts: Array) -> None:
    """Fill counts (T, 2 H) with the number of values in each bin, for T slabs of `width` values each.

    A non-zero value v of values (n,) belongs to bin floor(v * factor) + H. Values beyond the outer bins count there.
    """
    half = counts.shape[1] // 2
    for slab in range(first, last):
        counts[slab] = 0
        for at in range(slab * width, min((slab + 1) * width, values.size)):
            if values[at] != 0:
                bin_number = math.floor(values[at] * factor) + half
                counts[slab, min(max(bin_number, 0), 2 * half - 1)] += 1
