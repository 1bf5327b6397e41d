"""The pass over the weights as one compiled loop, for weights so large that compiling (or loading it) pays."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def reduce_rows(
    rows: NDArray[np.float32],
    bits: NDArray[np.uint32],
    shift: int,
    base: int,
    counts: NDArray[np.int64],
    sums: NDArray[np.float64],
) -> None:
    """Add rows (R, n), whose `bits` are the same memory as uint32, to counts (R, 2 B) and sums (3, R).

    Counts hold the non-zero weights, negative ones first, by `bits >> shift` above `base`; sums are of w, |w|, w^2.
    """
    bins = counts.shape[1] // 2
    for row in range(rows.shape[0]):
        total, absolute, square = 0.0, 0.0, 0.0
        for column in range(rows.shape[1]):
            value = np.float64(rows[row, column])
            total += value
            absolute += abs(value)
            square += value * value
            code = bits[row, column]
            magnitude = code & np.uint32(0x7FFFFFFF)
            if magnitude != 0:
                place = int(magnitude >> shift) - base
                place = place if place > 0 else 0
                counts[row, place + (bins if code == magnitude else 0)] += 1
        sums[0, row] += total
        sums[1, row] += absolute
        sums[2, row] += square
