"""Output errors of nearest rounding, for several uniform grids at once; the reference is `weights.layer_problem`."""

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
    """Fill errors (B, G O) with the mean squared error of each output, for B grids.

    The inputs of the layer are independent with variance and mean (G, K), so the mean squared error of an output is the
    variance of its error plus the square of its mean error. Weight (o, k) of weights (G O, K) has the scale
    `scales[b, rows[o, k]]`.
    """
    outputs, width = len(weights) // len(mean), weights.shape[1]
    for o in range(first, last):
        group = o // outputs
        for b in range(len(scales)):
            spread, shift, start = 0.0, 0.0, 0
            while start < width:
                end = start + 1
                while end < width and rows[o, end] == rows[o, start]:
                    end += 1
                scale = scales[b, rows[o, start]]
                part = _sums_of_one_scale(
                    weights[o, start:end], scale, qmax, variance[group, start:end], mean[group, start:end]
                )
                spread, shift, start = spread + part[0], shift + part[1], end
            errors[b, o] = spread + shift * shift


@reordered
def _sums_of_one_scale(
    weights: Array, scale: np.float32, qmax: np.float32, variance: Array, mean: Array
) -> tuple[float, float]:
    """Return the sums of error^2 * variance and of error * mean over weights that share a scale."""
    spread, shift = 0.0, 0.0
    for k in range(weights.size):
        code = min(max(np.rint(weights[k] / scale), -qmax), qmax)
        error = np.float64(code * scale - weights[k])
        spread += error * error * variance[k]
        shift += error * mean[k]
    return spread, shift
