"""What weights cost that are rounded to the nearest level of uniform grids, output by output, for several grids."""

import numpy as np

from quant.kernel.compile import Array, compiled, reordered


@compiled
def nearest_errors(
    first: int,
    last: int,
    weights: Array,
    rows: Array,
    variance: Array,
    mean: Array,
    scales: Array,
    qmax: np.float32,
    errors: Array,
) -> None:
    """Fill errors (B, G O) for weights (G O, K) whose scales are scales[b, rows[o, k]]: the variance of the outputs'
    errors and their squared mean, the inputs independent with variance and mean (G, K)."""
    outputs, width = len(weights) // len(mean), weights.shape[1]
    for o in range(first, last):
        group = o // outputs
        for b in range(len(scales)):
            spread, shift, start = 0.0, 0.0, 0
            while start < width:
                end = start + 1
                while end < width and rows[o, end] == rows[o, start]:
                    end += 1
                one = weights[o, start:end]
                part = _of_one_scale(
                    one, scales[b, rows[o, start]], qmax, variance[group, start:end], mean[group, start:end]
                )
                spread, shift, start = spread + part[0], shift + part[1], end
            errors[b, o] = spread + shift * shift


@reordered
def _of_one_scale(
    weights: Array, scale: np.float32, qmax: np.float32, variance: Array, mean: Array
) -> tuple[float, float]:
    """The sums of error^2 variance and of error mean."""
    spread, shift = 0.0, 0.0
    for k in range(weights.size):
        code = min(max(np.rint(weights[k] / scale), -qmax), qmax)
        error = np.float64(code * scale - weights[k])
        spread += error * error * variance[k]
        shift += error * mean[k]
    return spread, shift
