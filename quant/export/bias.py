"""Biases as int32 codes at the scale of input times weight, and the weight scales that make the codes fit."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.calibration.activation_ranges import ActivationRange
from quant.export.storage import dequantize_linear
from quant.graph.constants import add_initializer, constant
from quant.graph.inventory import Layer
from quant.graph.names import Names, shortened
from quant.graph.operators import is_add
from quant.graph.uses import only_use
from quant.weights.layers import QuantizedLayer
from quant.weights.power_of_two import next_power
from quant.weights.quantize import QuantizedWeight
from quant.weights.storage_form import StorageForm
from quant.weights.widen import widen_scales

MAX_BIAS_CODE = 2**30
"""The largest magnitude of a bias code: the other half of int32 is left for the sum that the bias is added to."""
INTEGER_KERNEL_FORMS = (StorageForm.INTEGER, StorageForm.DIRECT)
"""The forms of weights for which ONNX Runtime's integer kernels add an int32 bias."""


def widen_scales_for_bias(layer: QuantizedLayer, ranges: Mapping[str, ActivationRange]) -> QuantizedLayer:
    """Return the layer with wider scales for the channels whose bias would not fit int32 otherwise.

    The weights of such a channel are almost zero compared with its bias: the wider scale is at most 2^-30 of the bias
    in units of the input's step, so that rounding to it changes the output by far less than a step of the output.

    Args:
        layer: the quantized layer; one whose bias stays in float is returned as it is.
        ranges: the activation ranges by the tensor's name.
    """
    integers = layer.form in INTEGER_KERNEL_FORMS and not layer.float_bias
    bias = constant(layer.layer.bias) if integers else None
    activation = _input_range(layer.layer, ranges)
    scale, channels = layer.quantized.scale, layer.layer.shape[layer.layer.axis]
    if bias is None or activation is None or bias.size not in (1, channels) or scale.size not in (1, channels):
        return layer
    least = np.abs(bias.astype(np.float64).reshape(-1)) / (float(activation.scale) * MAX_BIAS_CODE)
    least = np.broadcast_to(least, (channels,)) if scale.size > 1 else least.max(keepdims=True)
    if layer.spec.scale == "power_of_two":
        least = next_power(np.maximum(least, np.finfo(np.float32).tiny))
    narrow = least > scale.reshape(-1)
    if not narrow.any():
        return layer
    note = f"the scale of {int(narrow.sum())} rows was widened so that their bias fits int32"
    widened = widen_scales(layer.fitted, layer.spec, layer.quantized, least)
    return replace(layer, quantized=widened, notes=(*layer.notes, note))


def quantize_bias(
    layer: Layer,
    weight: QuantizedWeight,
    form: StorageForm,
    ranges: Mapping[str, ActivationRange],
    ranks: Mapping[str, int],
    names: Names,
) -> None:
    """Replace the layer's bias by int32 codes and a DequantizeLinear, in place, where an integer kernel adds it.

    The scale is that of the input times that of the weight, as ONNX Runtime's kernels require. The bias of a MatMul
    stays in float if a code would be larger than `MAX_BIAS_CODE`.

    Requires: for other layers, scales from `widen_scales_for_bias`, so that no code is larger but by rounding.
    """
    activation, operand = _input_range(layer, ranges), _bias_operand(layer, ranges, ranks)
    if form not in INTEGER_KERNEL_FORMS or activation is None or operand is None:
        return
    node, index = operand
    bias, channels = constant(node.inputs[index]), layer.shape[layer.axis]
    scale: NDArray[np.float32] = (activation.scale * weight.scale).astype(np.float32)
    if bias is None or bias.size not in (1, channels) or scale.size not in (1, channels):
        return
    flat = np.broadcast_to(bias.astype(np.float64).reshape(-1), (channels,))
    codes = np.rint(flat / scale.astype(np.float64))
    if node is not layer.node and np.abs(codes).max() > MAX_BIAS_CODE:
        return
    name = f"{shortened(layer.name)}_bias"
    limited = np.clip(codes, -MAX_BIAS_CODE, MAX_BIAS_CODE).astype(np.int32)
    source = add_initializer(layer.graph, f"{name}_codes", limited, names)
    axis = 0 if scale.ndim else None
    node.replace_input_with(index, dequantize_linear(node, name, source, scale, axis, names))


def _input_range(layer: Layer, ranges: Mapping[str, ActivationRange]) -> ActivationRange | None:
    """Return the range of the layer's input; None if it is in float or has 16 bits, where kernels add float biases."""
    activation = ranges.get(str(layer.operand(layer.input_index).name))
    return None if activation is None or activation.bits > 8 else activation


def _bias_operand(
    layer: Layer, ranges: Mapping[str, ActivationRange], ranks: Mapping[str, int]
) -> tuple[ir.Node, int] | None:
    """Return the node that adds the layer's bias and the number of that operand, or None if there is none.

    That is the layer's node, or the Add after a MatMul. ONNX Runtime makes one Gemm of a MatMul and its Add if the
    input is a matrix, or has more axes of known sizes, so that it can be reshaped to one.
    """
    if not layer.operator.bias_follows:
        index = layer.operator.bias_index
        return None if index is None or layer.bias is None else (layer.node, index)
    output, source = layer.node.outputs[0], layer.operand(layer.input_index)
    is_matrix = ranks.get(str(source.name)) == 2 if source.shape is None else len(source.shape) == 2
    if not is_matrix and not _has_known_sizes(source):
        return None
    add, used = only_use(output)
    if add is None or not is_add(add) or str(output.name) in ranges or layer.reduced_axis is None:
        return None
    bias = constant(add.inputs[1 - used])
    return (add, 1 - used) if bias is not None and bias.ndim == 1 else None


def _has_known_sizes(value: ir.Value) -> bool:
    """Return True if the value has at least two axes, all of known sizes."""
    shape = value.shape
    return shape is not None and len(shape) > 1 and all(isinstance(size, int) for size in shape)
