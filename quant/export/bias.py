"""Biases as int32 at the scale of input times weight, and the weight scales that make them fit."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from quant.calibration.activation_ranges import ActivationRange
from quant.graph.constants import constant
from quant.methods.grids.codebook import UniformCodebook
from quant.weights.layers import QuantizedLayer
from quant.weights.quantize import encode_weight
from quant.weights.storage_form import StorageForm

BIAS_LIMIT = 2**30
"""A bias code may be this large: half of int32 is left for the sum it is added to."""


def fit_bias(done: QuantizedLayer, ranges: Mapping[str, ActivationRange]) -> QuantizedLayer:
    """Widen the bound of channels whose bias would not fit int32 at the scale of input times weight.

    That happens to channels whose weights are almost zero beside their bias, and costs them nothing visible.
    """
    bias = constant(done.layer.bias) if done.form in (StorageForm.INTEGER, StorageForm.DIRECT) else None
    activation = ranges.get(str(done.layer.operand(done.layer.input_index).name))
    scale = done.quantized.scale
    if bias is None or activation is None or activation.bits > 8 or scale.size not in (1, bias.size):
        return done
    needed = np.abs(bias.astype(np.float64).reshape(-1)) / (float(activation.scale) * BIAS_LIMIT)
    needed = needed if scale.size > 1 else needed.max(keepdims=True)
    narrow = needed > scale.reshape(-1)
    if not narrow.any():
        return done
    if not done.spec.grid.uniform:
        return replace(done, notes=(*done.notes, f"the bias of {int(narrow.sum())} rows is clipped to fit int32"))
    qmax = 2 ** (done.spec.bits - 1) - 1
    codebook = UniformCodebook(scale.reshape(-1), qmax)
    kept = codebook.decode(done.fitted.granularity.rows(done.quantized.codes))
    values = np.where(narrow[:, None], done.fitted.statistics.rows, kept)
    widened = UniformCodebook(np.where(narrow, needed, codebook.scale).astype(np.float32), qmax)
    clip = np.where(narrow, needed * qmax, done.quantized.clip)
    note = f"the scale of {int(narrow.sum())} rows was widened so that their bias fits int32"
    quantized = encode_weight(done.fitted, done.spec, clip, widened, values)
    return replace(done, quantized=quantized, notes=(*done.notes, note))
