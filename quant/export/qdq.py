"""Writing quantized weights and activations into a model as standard ONNX QuantizeLinear / DequantizeLinear."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common as passes

from quant.calibration import ActivationRange
from quant.export.storage import dequantize_linear, dequantized_weight
from quant.graph.constants import add_initializer, constant
from quant.graph.inventory import Layer
from quant.weights import QuantizedWeight

BIAS_LIMIT = 2**30
"""A bias code may be this large: half of int32 is left for the sum it is added to."""


def export_qdq(
    model: ir.Model,
    weights: Sequence[tuple[Layer, QuantizedWeight]],
    ranges: Mapping[str, ActivationRange],
    storage: str,
) -> None:
    """Rewrite the model in place: codes for the weights, a pair on each activation in `ranges`, int32 biases.

    Requires: `quant.graph.normalise` form; `ranges` is empty for weight-only models.
    """
    graph = model.graph
    source_names = {layer.name: str(layer.operand(layer.input_index).name) for layer, _ in weights}
    stored: dict[tuple[str, int | None, int, bytes], ir.Value] = {}
    for layer, weight in weights:
        key = (layer.weight_name, weight.axis, weight.bits, weight.scale.tobytes())
        if key not in stored:
            stored[key] = dequantized_weight(
                graph, layer.node, layer.weight_name, weight.codes, weight.scale,
                bits=weight.bits, axis=weight.axis, storage=storage,
            )  # fmt: skip
        _quantize_bias(graph, layer, weight, ranges.get(source_names[layer.name]))
        layer.node.replace_input_with(layer.weight_index, stored[key])
    values = {str(v.name): v for v in (*graph.inputs, *(out for node in graph for out in node.outputs))}
    for name, activation in ranges.items():
        _quantize_activation(graph, values[name], activation)
    passes.RemoveUnusedNodesPass()(model)
    passes.TopologicalSortPass()(model)


def bias_scale(input_range: ActivationRange, weight_scale: np.ndarray) -> np.ndarray:
    """The scale of an integer kernel's bias: input scale times weight scale, float32."""
    return (input_range.scale * weight_scale).astype(np.float32)


def _quantize_bias(graph: ir.Graph, layer: Layer, weight: QuantizedWeight, input_range: ActivationRange | None) -> None:
    bias = constant(layer.bias)
    if bias is None or layer.bias is None or input_range is None:
        return
    channels = layer.weight.shape[layer.axis] * (
        layer.node.attributes.get_int("group", 1) if layer.op == "ConvTranspose" else 1
    )
    if bias.size not in (1, channels):
        return
    scale = bias_scale(input_range, weight.scale)
    if scale.size not in (1, channels):
        return
    flat = np.broadcast_to(bias.astype(np.float64).reshape(-1), (channels,))
    codes = np.clip(np.rint(flat / scale.astype(np.float64)), -BIAS_LIMIT, BIAS_LIMIT).astype(np.int32)
    name = f"{layer.name}_bias"
    source = add_initializer(graph, f"{name}_codes", codes)
    axis = 0 if scale.ndim else None
    zero = np.zeros(scale.shape, np.int32)
    layer.node.replace_input_with(2, dequantize_linear(graph, layer.node, name, source, scale, zero, axis))


def _quantize_activation(graph: ir.Graph, value: ir.Value, activation: ActivationRange) -> None:
    name = str(value.name)
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
        value.name, output.name = f"{name}_float", name
    producer = value.producer()
    if producer is None:
        first = graph[0]
        graph.insert_before(first, [quantize, dequantize])
    else:
        graph.insert_after(producer, [quantize, dequantize])
