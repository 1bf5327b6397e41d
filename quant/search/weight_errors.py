"""The error that a quantized weight causes at the output of its layer, as a fraction of the output's energy."""

import numpy as np

from quant.calibration.input_moments import Moments
from quant.graph.im2col import weight_matrix
from quant.weights.layers import QuantizedLayer
from quant.weights.quantize import decoded


def relative_error(quantized: QuantizedLayer, moments: Moments | None, *, bias_corrected: bool) -> float:
    """Return tr(dW H dW^T) / tr(W H W^T), with dW the error of the weight W and H the second moments of the input.

    H is the identity where the moments are not known.

    Args:
        quantized: the layer.
        moments: the moments of its input, if they are known.
        bias_corrected: leave out the mean error, because the bias corrects it.
    """
    layer = quantized.layer
    float_weight = layer.weight.astype(np.float64)
    change = decoded(quantized.quantized).astype(np.float64) - layer.weight
    change_matrix, float_matrix = weight_matrix(layer, change), weight_matrix(layer, float_weight)
    if moments is None or change_matrix is None or float_matrix is None:
        return _ratio(float(np.sum(change**2)), float(np.sum(float_weight**2)))
    noise = float(moments.energy(change_matrix).sum())
    if bias_corrected:
        noise -= float((np.einsum("gok,gk->go", change_matrix, moments.mean) ** 2).sum())
    return _ratio(noise, float(moments.energy(float_matrix).sum()))


def independent_error(quantized: QuantizedLayer, moments: Moments | None, *, bias_corrected: bool) -> float:
    """Return sum_k dw_k^2 Var[x_k] over sum_k w_k^2 E[x_k^2]: the relative error if inputs x were independent.

    It takes much less time than `relative_error`, whose arguments it has, and is a measure for the comparison of
    formats of one layer: in ResNet20, its ratio to the error after error feedback differed between layers by 20 dB, but
    between the formats of a layer by 1 dB. Without bias correction, the energy of the mean error is added.
    """
    layer = quantized.layer
    change = decoded(quantized.quantized) - layer.weight
    change_matrix, float_matrix = weight_matrix(layer, change), weight_matrix(layer, layer.weight)
    if moments is None or change_matrix is None or float_matrix is None:
        return _ratio(float(np.sum(change**2, dtype=np.float64)), float(np.sum(layer.weight**2, dtype=np.float64)))
    noise = _weighted_energy(change_matrix, moments.diagonal - moments.mean**2)
    if not bias_corrected:
        noise += float((np.einsum("gok,gk->go", change_matrix, moments.mean) ** 2).sum())
    return _ratio(noise, _weighted_energy(float_matrix, moments.diagonal))


def _weighted_energy(matrix: np.ndarray, weights: np.ndarray) -> float:
    """Return the sum of the squares of a matrix (G, O, K), each times the weight (G, K) of its input."""
    return float(np.einsum("gk,gk->", np.einsum("gok,gok->gk", matrix, matrix, dtype=np.float64), weights))


def _ratio(noise: float, signal: float) -> float:
    return max(noise, 0.0) / signal if signal > 0 else 0.0
