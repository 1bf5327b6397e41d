"""The pass over the weights, tile by tile: a tile is `width` columns of a row, and `per_row` of them make one."""

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
    """Fill counts (T, B), zeros (T,) and sums (3, T) of the tiles of rows (R, n), whose `bits` are the same memory.

    Counts hold the non-zero weights by `places[bits >> shift]`; sums are of w, |w| and w^2.
    """
    for tile in range(first, last):
        row, column = tile // per_row, tile % per_row * width
        zeros[tile] = _count(bits[row, column : column + width], shift, places, counts[tile])
        _add_up(rows[row, column : column + width], sums[:, tile])


@inner
def _count(bits: Array, shift: np.uint32, places: Array, counts: Array) -> int:
    """Fill counts (B,) and return how many zeros there are."""
    counts[:] = 0
    zeros = 0
    for at in range(bits.size):
        counts[places[bits[at] >> shift]] += 1
    for sign in (np.uint32(0), np.uint32(1 << 31)):
        lowest = places[sign >> shift]
        if counts[lowest] > 0:  # there may be zeros among them
            found = 0
            for at in range(bits.size):
                found += bits[at] == sign
            counts[lowest] -= found
            zeros += found
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
