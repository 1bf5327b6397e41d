"""Scales and zero points of the blocks of a matrix, by search; the NumPy reference is `quant.weights.block_grids`."""

import math

import numpy as np

from quant.kernel.compile import Array, compiled, inner, reordered


@compiled
def block_grids(
    first: int,
    last: int,
    weights: Array,
    importance: Array,
    size: int,
    qmin: int,
    qmax: int,
    ratios: Array,
    refit: bool,
    scale: Array,
    zero: Array,
) -> None:
    """Fill scale and zero (O, B) with the grids of least error of the blocks of weights (O, K), K = B size.

    The error is the sum of the squared errors of a block's weights, each times the importance (K,) of its input. Grids
    are tried for each of the `ratios` of the clip bounds to the extremes of the block. With `refit`, the scale of least
    error for the codes of a grid is tried, too. A code is one of qmin .. qmax; the zero point is 0 if qmin is -qmax.
    """
    for output in range(first, last):
        for block in range(scale.shape[1]):
            part = slice(block * size, (block + 1) * size)
            grid = _best_grid(weights[output, part], importance[part], qmin, qmax, ratios, refit)
            scale[output, block], zero[output, block] = grid


@inner
def _best_grid(
    weights: Array, importance: Array, qmin: int, qmax: int, ratios: Array, refit: bool
) -> tuple[np.float32, float]:
    low, high = min(weights.min(), np.float32(0)), max(weights.max(), np.float32(0))
    best_scale, best_zero, least = np.float32(1), 0.0, math.inf
    for ratio in ratios:
        scale, zero = _grid(ratio * low, ratio * high, qmin, qmax)
        error, product, energy = _measured(weights, importance, scale, zero, qmin, qmax)
        if error < least:
            best_scale, best_zero, least = scale, zero, error
        if refit and product > 0 and energy > 0:
            scale = np.float32(product / energy)
            if scale > 0:
                error = _measured(weights, importance, scale, zero, qmin, qmax)[0]
                if error < least:
                    best_scale, best_zero, least = scale, zero, error
    return best_scale, best_zero


@inner
def _grid(low: float, high: float, qmin: int, qmax: int) -> tuple[np.float32, float]:
    """Return the scale and the zero point of the grid whose outermost levels are about low and high."""
    scale = np.float32(max(-low, high) / qmax if qmin == -qmax else (high - low) / (qmax - qmin))
    if scale <= 0:
        return np.float32(1), 0.0
    if qmin == -qmax:
        return scale, 0.0
    return scale, min(max(np.rint(qmin - low / scale), float(qmin)), float(qmax))


@reordered
def _measured(
    weights: Array, importance: Array, scale: np.float32, zero: float, qmin: int, qmax: int
) -> tuple[float, float, float]:
    """Return the error of a grid, and the sums whose quotient is the scale of least error for the same codes."""
    error, product, energy = 0.0, 0.0, 0.0
    least, most = np.float32(qmin - zero), np.float32(qmax - zero)
    for at in range(weights.size):
        steps = np.float64(min(max(np.rint(weights[at] / scale), least), most))
        weight = np.float64(weights[at])
        difference = steps * scale - weight
        error += importance[at] * difference * difference
        product += importance[at] * steps * weight
        energy += importance[at] * steps * steps
    return error, product, energy
