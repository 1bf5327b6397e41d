"""Bias correction without data: shifts expected from the moments of layer inputs (Nagel et al., 2019).

See docs/methods.md, 'Bias correction'.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from quant.calibration.input_moments import HasMean, InferredMoments
from quant.calibration.synthetic_moments import SyntheticMoments
from quant.graph.biases import Shifts
from quant.graph.im2col import weight_matrix
from quant.graph.inventory import Layer
from quant.weights.layers import QuantizedLayer
from quant.weights.quantize import decoded


def expected_shifts(layers: Sequence[QuantizedLayer], moments: Mapping[str, HasMean]) -> Shifts:
    """Return the values -E[dW x] to add to the bias of each channel (C,), for the layers with known moments.

    dW is the error of the weights. If the moments are inferred, only positions that pass the activation after the layer
    count. With x normal, the values are then

        -(dW E[x] + b a),    b = dW S W^T / W S W^T,

    with S the covariance of x, b the relative change of y = W x, and a = E[y, given that y passes] - E[y]. By synthetic
    inputs, they are what their kinds agree on (`agreed`).
    """
    return {
        quantized.layer.name: _expected_shift(
            quantized.layer, decoded(quantized.quantized), moments[quantized.layer.name]
        )
        for quantized in layers
        if quantized.layer.name in moments
    }


def _expected_shift(layer: Layer, rounded: NDArray[np.float32], moments: HasMean) -> NDArray[np.float64]:
    """Return the values (C,) to add to the bias of a layer whose quantized weights are `rounded`."""
    if isinstance(moments, SyntheticMoments):
        return agreed([_expected_shift(layer, rounded, kind) for kind in moments.kinds])
    weight = weight_matrix(layer, layer.weight.astype(np.float64))
    change = weight_matrix(layer, rounded.astype(np.float64) - layer.weight)
    assert weight is not None, "a layer with moments has a matrix"
    assert change is not None, "the change has the shape of the weight"
    shift: NDArray[np.float64] = -np.einsum("gok,gk->go", change, moments.mean).reshape(-1)
    if isinstance(moments, InferredMoments):
        carried = weight @ moments.covariance
        lost, energy = (np.einsum("gok,gok->go", carried, matrix).reshape(-1) for matrix in (change, weight))
        shift -= np.divide(lost, energy, out=np.zeros_like(lost), where=energy > 0) * moments.active_excess
    return shift


def agreed(shifts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the harmonic mean (C,) of the shifts of each kind of inputs, 0 where their signs differ.

    It is never larger than the mean, and near the smaller of two shifts that differ much.
    """
    stacked = np.stack(shifts)
    least = np.finfo(np.float64).tiny
    same = (stacked > least).all(axis=0) | (stacked < -least).all(axis=0)
    inverse = np.divide(1, stacked, out=np.ones_like(stacked), where=same)
    return np.where(same, 1 / inverse.mean(axis=0), 0.0)
