"""Counting activations in equal bins."""

import math

import numpy as np

from quant.kernel.compile import Array, compiled


@compiled
def count(first: int, last: int, values: Array, width: int, factor: np.float32, counts: Array) -> None:
    """Fill counts (T, 2 H): how many of the non-zero values (n,) of each slab of `width` lie in bin floor(v * factor)
    + H, the outer bins taking what lies beyond."""
    half = counts.shape[1] // 2
    for slab in range(first, last):
        counts[slab] = 0
        for at in range(slab * width, min((slab + 1) * width, values.size)):
            if values[at] != 0:
                place = math.floor(values[at] * factor) + half
                counts[slab, min(max(place, 0), 2 * half - 1)] += 1
