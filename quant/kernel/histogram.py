"""Histograms and sums of weights in one pass; the NumPy reference is `quant.methods.distributions.statistics`.

The pass works on tiles. A tile is `width` columns of a row, and `per_row` tiles make up a row.
"""

import numpy as np

from quant.kernel.compile import Array, compiled, inner, reordered


@compiled
def reduce_rows(
    first: int,
    last: int,
    rows: Array,
    bits: Array,
    width: int,
    per_row: int,
    shift: np.uint32,
    places: Array,
    counts: Array,
    zeros: Array,
    sums: Array,
) -> None:
    """Fill counts (T, B), zeros (T,) and sums (3, T) of the tiles of rows (R, n).

    `bits` (R, n) is the same memory as uint32. A non-zero weight counts in bin `places[bits >> shift]`; the sums are of
    w, |w| and w^2.
    """
    for tile in range(first, last):
        row, column = tile // per_row, tile % per_row * width
        zeros[tile] = _count(bits[row, column : column + width], shift, places, counts[tile])
        _add_up(rows[row, column : column + width], sums[:, tile])


@inner
def _count(bits: Array, shift: np.uint32, places: Array, counts: Array) -> int:
    """Fill counts (B,) with the non-zero weights of a tile; return the number of zeros."""
    counts[:] = 0
    zeros = 0
    for at in range(bits.size):
        counts[places[bits[at] >> shift]] += 1
    for sign in (np.uint32(0), np.uint32(1 << 31)):
        lowest = places[sign >> shift]
        if counts[lowest] > 0:  # zeros of this sign were counted in the bin of the smallest weights
            signed_zeros = 0
            for at in range(bits.size):
                signed_zeros += bits[at] == sign
            counts[lowest] -= signed_zeros
            zeros += signed_zeros
    return zeros


@reordered
def _add_up(weights: Array, sums: Array) -> None:
    total, absolute, square = 0.0, 0.0, 0.0
    for at in range(weights.size):
        value = np.float64(weights[at])
        total += value
        absolute += abs(value)
        square += value * value
    sums[0], sums[1], sums[2] = total, absolute, square
