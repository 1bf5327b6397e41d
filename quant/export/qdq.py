"""Writing quantized weights and activations into a model as standard ONNX QuantizeLinear / DequantizeLinear."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common as passes

from quant.calibration.activation_ranges import ActivationRange
from quant.export.bias import BIAS_LIMIT
from quant.export.matmul import as_matmul
from quant.export.storage import dequantize_linear, dequantized_weight
from quant.graph.constants import add_initializer, constant, shortened
from quant.graph.inventory import Layer
from quant.graph.operators import is_add, is_rectifier, is_relu
from quant.graph.uses import only_use
from quant.weights.quantize import QuantizedWeight
from quant.weights.storage_form import StorageForm


@dataclass(frozen=True)
class ExportedWeight:
    """One layer with its quantized weight and the form that it is stored in."""

    layer: Layer
    weight: QuantizedWeight
    form: StorageForm


def export_qdq(
    model: ir.Model, weights: Sequence[ExportedWeight], ranges: Mapping[str, ActivationRange], opset: int
) -> None:
    """Rewrite the model in place: codes for the weights, a pair on each activation in `ranges`, int32 biases.

    Requires: `quant.graph.normalise` form; `ranges` is empty for weight-only models.
    """
    inputs = {done.layer.name: str(done.layer.operand(done.layer.input_index).name) for done in weights}
    stored: dict[tuple[object, ...], ir.Value] = {}
    for done in weights:
        _quantize_bias(done, ranges, ranges.get(inputs[done.layer.name]))
        replace_weight(done, stored, opset)
    values = {str(v.name): v for v in (*model.graph.inputs, *(out for node in model.graph for out in node.outputs))}
    for name, activation in ranges.items():
        _quantize_activation(model.graph, values[name], activation)
    tidy(model)


def replace_weight(done: ExportedWeight, stored: dict[tuple[object, ...], ir.Value], opset: int) -> None:
    """The layer reads the stored weight; a weight that several layers read the same way is stored once."""
    layer, weight, form = done.layer, done.weight, done.form
    transposed = form is StorageForm.MATMUL_NBITS and layer.axis == 0
    scale = sha256(weight.scale.tobytes()).digest()
    key = (layer.graph, layer.weight_name, form, weight.granularity, weight.bits, scale, transposed)
    if key not in stored:
        number = sum(other[:2] == key[:2] for other in stored)
        name = f"{layer.weight_name}_{number}" if number else layer.weight_name
        stored[key] = dequantized_weight(layer.node, name, weight, form, opset, transposed=transposed)
    if form is StorageForm.MATMUL_NBITS:
        as_matmul(layer, stored[key])
    else:
        layer.node.replace_input_with(layer.weight_index, stored[key])


def tidy(model: ir.Model) -> None:
    """Remove what nothing reads any more, and put the nodes in order."""
    passes.RemoveUnusedNodesPass()(model)
    for graph in model.graphs():  # the pass leaves the initializers of nested bodies
        for name in [name for name, value in graph.initializers.items() if not value.uses()]:
            if not graph.initializers[name].is_graph_output():
                del graph.initializers[name]
    passes.TopologicalSortPass()(model)


def bias_scale(input_range: ActivationRange, weight_scale: np.ndarray) -> np.ndarray:
    """The scale of an integer kernel's bias: input scale times weight scale, float32."""
    return (input_range.scale * weight_scale).astype(np.float32)


def _quantize_bias(
    done: ExportedWeight, ranges: Mapping[str, ActivationRange], input_range: ActivationRange | None
) -> None:
    layer, weight = done.layer, done.weight
    node, index = _bias_of(layer, ranges)
    bias = constant(node.inputs[index]) if node is not None else None
    if node is None or bias is None or input_range is None or input_range.bits > 8:
        return
    channels = layer.shape[layer.axis]
    scale = bias_scale(input_range, weight.scale)
    if (
        done.form not in (StorageForm.INTEGER, StorageForm.DIRECT)
        or bias.size not in (1, channels)
        or scale.size not in (1, channels)
    ):
        return
    flat = np.broadcast_to(bias.astype(np.float64).reshape(-1), (channels,))
    codes = np.rint(flat / scale.astype(np.float64))
    if node is not layer.node and np.abs(codes).max() > BIAS_LIMIT:
        return
    name = f"{shortened(layer.name)}_bias"
    limited = np.clip(codes, -BIAS_LIMIT, BIAS_LIMIT).astype(np.int32)
    source = add_initializer(layer.graph, f"{name}_codes", limited)
    axis = 0 if scale.ndim else None
    node.replace_input_with(index, dequantize_linear(node, name, source, scale, axis))


def _bias_of(layer: Layer, ranges: Mapping[str, ActivationRange]) -> tuple[ir.Node | None, int]:
    """The node that adds the layer's bias, and the number of that operand: the layer itself, or an Add behind a MatMul.

    ONNX Runtime makes one Gemm of these two where the input is a matrix, or can be reshaped to one at load.
    """
    if not layer.operator.bias_follows:
        index = layer.operator.bias_index
        return (None, 0) if index is None or layer.bias is None else (layer.node, index)
    output = layer.node.outputs[0]
    shape, (add, used) = layer.operand(layer.input_index).shape, only_use(output)
    if shape is None or not (len(shape) == 2 or all(isinstance(size, int) for size in shape)):
        return None, 0
    if add is None or not is_add(add) or str(output.name) in ranges:
        return None, 0
    index = 1 - used
    array = constant(add.inputs[index])
    return (add, index) if array is not None and array.ndim == 1 and layer.reduced_axis is not None else (None, 0)


def _quantize_activation(graph: ir.Graph, value: ir.Value, activation: ActivationRange) -> None:
    name = shortened(str(value.name))
    scale = add_initializer(graph, f"{name}_scale", np.asarray(activation.scale))
    zero_point = add_initializer(graph, f"{name}_zero_point", np.asarray(activation.zero_point))
    quantize = ir.Node("", "QuantizeLinear", [value, scale, zero_point], num_outputs=1, name=f"{name}_quantize")
    quantize.outputs[0].name = f"{name}_quantized"
    dequantize = ir.Node(
        "",
        "DequantizeLinear",
        [quantize.outputs[0], scale, zero_point],
        num_outputs=1,
        name=f"{name}_dequantize",
    )
    output = dequantize.outputs[0]
    output.name, output.type, output.shape = f"{name}_dequantized", value.type, value.shape
    was_output = value.is_graph_output()
    value.replace_all_uses_with(output, replace_graph_outputs=True)
    quantize.replace_input_with(0, value)
    if was_output:  # callers know the output by its name
        output.name, value.name = value.name, f"{name}_float"
    producer = value.producer()
    if producer is None:
        first = graph[0]
        graph.insert_before(first, [quantize, dequantize])
    else:
        graph.insert_after(producer, [quantize, dequantize])
    if not was_output and _saturates(producer, activation):
        quantize.replace_input_with(0, producer.inputs[0])  # type: ignore[union-attr]


def _saturates(producer: ir.Node | None, activation: ActivationRange) -> bool:
    """Whether a Relu or Clip only does what the QuantizeLinear behind it does by saturating."""
    if producer is None or not is_rectifier(producer):
        return False
    lower, upper = activation.representable
    if is_relu(producer):
        return lower >= 0
    bounds = [None if bound is None else constant(bound) for bound in (*producer.inputs[1:], None, None)[:2]]
    if any(found is None and given is not None for found, given in zip(bounds, producer.inputs[1:], strict=False)):
        return False
    return (bounds[0] is None or lower >= float(bounds[0])) and (bounds[1] is None or upper <= float(bounds[1]))
