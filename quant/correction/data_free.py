"""Bias correction without data: the shift expected from the moments of each layer's input (Nagel et al. 2019)."""

from collections.abc import Mapping, Sequence

import numpy as np

from quant.calibration.input_moments import InferredMoments, Moments
from quant.graph.biases import Shifts
from quant.graph.im2col import weight_matrix
from quant.weights.layers import QuantizedLayer
from quant.weights.quantize import decoded


def expected_shifts(layers: Sequence[QuantizedLayer], moments: Mapping[str, Moments]) -> Shifts:
    """What to add to each bias (C,): -E[dW x], for the layers whose moments are known; where those are promised, the
    mean over what the activation lets through.

    With x normal that is -(dW E[x] + b a), where b = dW S W^T / W S W^T is the part of y = W x that is lost, S the
    covariance of x, and a what y is above its mean where it is let through.
    """
    shifts = {}
    for done in layers:
        layer = done.layer
        if layer.name not in moments:
            continue
        known, weight = moments[layer.name], weight_matrix(layer, layer.weight.astype(np.float64))
        change = weight_matrix(layer, decoded(done.quantized).astype(np.float64) - layer.weight)
        assert weight is not None, "a layer with moments has a matrix"
        assert change is not None, "and so has its change"
        shift = -np.einsum("gok,gk->go", change, known.mean).reshape(-1)
        if isinstance(known, InferredMoments):
            carried = weight @ known.covariance
            lost, energy = (np.einsum("gok,gok->go", carried, one).reshape(-1) for one in (change, weight))
            shift -= np.divide(lost, energy, out=np.zeros_like(lost), where=energy > 0) * known.active_excess
        shifts[layer.name] = shift
    return shifts
