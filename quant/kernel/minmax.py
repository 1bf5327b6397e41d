"""MinMax bounds and nearest codes of a weight matrix, with a scale for each row or each column.

The matrix is read in the order in which it lies in memory. If each column has a scale, the matrix is cut into slabs of
`depth` rows, so that threads can share the columns. The NumPy references are `quant.methods.clipping.minmax` and the
uniform grid in `quant.methods.grids.uniform`.
"""

import numpy as np

from quant.kernel.compile import Array, compiled, inner, reordered


@compiled
def row_peaks(first: int, last: int, weights: Array, peaks: Array) -> None:
    """Fill peaks (R,) with the largest |w| of each row of weights (R, n)."""
    for r in range(first, last):
        peaks[r] = _largest(weights[r])


@compiled
def column_peaks(first: int, last: int, weights: Array, depth: int, peaks: Array) -> None:
    """Fill peaks (T, C) with the largest |w| of each column in each of T slabs of weights (P, C)."""
    for slab in range(first, last):
        peaks[slab] = 0
        for row in range(slab * depth, min((slab + 1) * depth, len(weights))):
            _raise(weights[row], peaks[slab])


@compiled
def row_codes(first: int, last: int, weights: Array, scale: Array, qmax: int, codes: Array, sums: Array) -> None:
    """Fill codes (R, n) for scale (R,), and sums (R, 3) with the sums of |error|, error^2 and w^2."""
    for r in range(first, last):
        sums[r] = 0
        _encode_row(weights[r], scale[r], np.float32(qmax), codes[r], sums[r])


@compiled
def column_codes(
    first: int, last: int, weights: Array, depth: int, scale: Array, qmax: int, codes: Array, sums: Array
) -> None:
    """Fill codes (P, C) and sums (T, 3) as `row_codes` does, for scale (T, C) with one row per slab, or (1, C)."""
    for slab in range(first, last):
        sums[slab] = 0
        for row in range(slab * depth, min((slab + 1) * depth, len(weights))):
            _encode(weights[row], scale[min(slab, len(scale) - 1)], np.float32(qmax), codes[row], sums[slab])


@reordered
def _largest(weights: Array) -> np.float32:
    largest = np.float32(0)
    for at in range(weights.size):
        largest = max(largest, abs(weights[at]))
    return largest


@inner
def _raise(weights: Array, peaks: Array) -> None:
    for at in range(weights.size):
        peaks[at] = max(peaks[at], abs(weights[at]))


@reordered
def _encode_row(weights: Array, scale: np.float32, qmax: np.float32, codes: Array, sums: Array) -> None:
    absolute, square, energy = 0.0, 0.0, 0.0
    for at in range(weights.size):
        code = min(max(np.rint(weights[at] / scale), -qmax), qmax)
        codes[at] = np.int8(code)
        weight = np.float64(weights[at])
        error = abs(np.float64(code * scale) - weight)
        absolute, square, energy = absolute + error, square + error * error, energy + weight * weight
    sums[0], sums[1], sums[2] = sums[0] + absolute, sums[1] + square, sums[2] + energy


@reordered
def _encode(weights: Array, scale: Array, qmax: np.float32, codes: Array, sums: Array) -> None:
    absolute, square, energy = 0.0, 0.0, 0.0
    for at in range(weights.size):
        code = min(max(np.rint(weights[at] / scale[at]), -qmax), qmax)
        codes[at] = np.int8(code)
        weight = np.float64(weights[at])
        error = abs(np.float64(code * scale[at]) - weight)
        absolute, square, energy = absolute + error, square + error * error, energy + weight * weight
    sums[0], sums[1], sums[2] = sums[0] + absolute, sums[1] + square, sums[2] + energy
