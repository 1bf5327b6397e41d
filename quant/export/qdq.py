"""QDQ export: quantized weights, activations and biases as ONNX QuantizeLinear and DequantizeLinear."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common as passes

from quant.calibration.activation_ranges import ActivationRange
from quant.export.bias import quantize_bias
from quant.export.dynamic import compute_in_integers, declare_domains
from quant.export.followers import rewrite_followers
from quant.export.matmul import replace_with_matmul
from quant.export.shared import share_constants
from quant.export.storage import dequantized_weight, integer_weight
from quant.graph.constants import add_initializer, constant
from quant.graph.inventory import Layer
from quant.graph.names import Names, shortened
from quant.graph.operators import is_rectifier, is_relu
from quant.graph.ranks import ranks_of
from quant.weights.quantize import QuantizedWeight
from quant.weights.storage_form import StorageForm


@dataclass(frozen=True)
class ExportedWeight:
    """A layer with its quantized weight, the form that the weight is stored in, and True if its bias stays in float."""

    layer: Layer
    weight: QuantizedWeight
    form: StorageForm
    float_bias: bool = False


StoredWeights = dict[tuple[object, ...], ir.Value]
"""The weights that a model holds already, dequantized or as int8 codes, by everything that distinguishes them."""


def export_qdq(
    model: ir.Model, weights: Sequence[ExportedWeight], ranges: Mapping[str, ActivationRange], opset: int
) -> None:
    """Write quantized weights, int32 biases and the quantization of activations into the model, in place.

    Args:
        model: a normalised model.
        weights: the quantized weights of its layers.
        ranges: the activation ranges by the tensor's name; none for a weight-only model.
        opset: the model's opset, which decides the types of codes.
    """
    stored: StoredWeights = {}
    names = Names.of(model.graph)
    rewrite_followers(model, [(exported.layer, exported.form) for exported in weights], ranges, names)
    ranks = _inferred_ranks(model, [exported.layer for exported in weights])
    for exported in weights:
        if not exported.float_bias:
            quantize_bias(exported.layer, exported.weight, exported.form, ranges, ranks, names)
        replace_weight(exported, stored, opset, names)
    values = {str(v.name): v for v in (*model.graph.inputs, *(out for node in model.graph for out in node.outputs))}
    for name, activation in ranges.items():
        _quantize_activation(model.graph, values[name], activation, names)
    tidy(model)
    share_constants(model)


def _inferred_ranks(model: ir.Model, layers: Sequence[Layer]) -> Mapping[str, int]:
    """Return the ranks of the model's tensors, by name; none if the model declares the shape of every layer's input."""
    inputs = (layer.operand(layer.input_index) for layer in layers)
    return ranks_of(model) if any(value.shape is None for value in inputs) else {}


def replace_weight(exported: ExportedWeight, stored: StoredWeights, opset: int, names: Names) -> None:
    """Let the layer read its quantized weight, in place; a weight that several layers read alike is stored once.

    Args:
        exported: the layer and its weight.
        stored: the weights of the model that are stored already; this one is added.
        opset: the model's opset.
        names: the names in use in the model.
    """
    layer, weight, form = exported.layer, exported.weight, exported.form
    outputs_first = layer.axis == len(layer.shape) - 2
    transposed = form in (StorageForm.MATMUL_NBITS, StorageForm.DYNAMIC) and outputs_first
    scale = sha256(weight.scale.tobytes()).digest()
    key = (layer.graph, layer.weight_name, form, weight.granularity, weight.bits, scale, transposed)
    if key not in stored:
        number = sum(other[:2] == key[:2] for other in stored)
        name = f"{layer.weight_name}_{number}" if number else layer.weight_name
        if form is StorageForm.DYNAMIC:
            stored[key] = integer_weight(layer.node, name, weight, opset, names, transposed=transposed)
        else:
            stored[key] = dequantized_weight(layer.node, name, weight, form, opset, names, transposed=transposed)
    if form is StorageForm.DYNAMIC:
        compute_in_integers(layer, stored[key], weight.scale, names)
    elif form is StorageForm.MATMUL_NBITS:
        replace_with_matmul(layer, stored[key], names)
    else:
        layer.node.replace_input_with(layer.weight_index, stored[key])


def tidy(model: ir.Model) -> None:
    """Remove nodes and initializers that nothing reads, and sort the nodes, in place."""
    passes.RemoveUnusedNodesPass()(model)
    for graph in model.graphs():  # the pass leaves the initializers of nested bodies
        for name in [name for name, value in graph.initializers.items() if not value.uses()]:
            if not graph.initializers[name].is_graph_output():
                del graph.initializers[name]
    passes.TopologicalSortPass()(model)
    declare_domains(model)


def _quantize_activation(graph: ir.Graph, value: ir.Value, activation: ActivationRange, names: Names) -> None:
    """Insert QuantizeLinear and DequantizeLinear after a tensor; an output of the model keeps its name.

    An input that is an output too is passed on as it is, and only the nodes read it quantized.
    """
    quantize, dequantize = _quantize_dequantize(graph, value, activation, names)
    output = dequantize.outputs[0]
    producer = value.producer()
    was_output = producer is not None and value.is_graph_output()
    if producer is None:
        for reader, index in value.uses():
            reader.replace_input_with(index, output)
    else:
        value.replace_all_uses_with(output, replace_graph_outputs=True)
    quantize.replace_input_with(0, value)
    if was_output:
        output.name, value.name = value.name, names.value(f"{value.name}_float")
    if producer is None:
        graph.insert_before(graph[0], [quantize, dequantize])
    else:
        graph.insert_after(producer, [quantize, dequantize])
    if producer is not None and not was_output and _is_saturation(producer, activation):
        quantize.replace_input_with(0, producer.inputs[0])


def _quantize_dequantize(
    graph: ir.Graph, value: ir.Value, activation: ActivationRange, names: Names
) -> tuple[ir.Node, ir.Node]:
    """Return a QuantizeLinear of the tensor and its DequantizeLinear, which are not inserted yet."""
    name = shortened(str(value.name))
    scale = add_initializer(graph, f"{name}_scale", np.asarray(activation.scale), names)
    zero_point = add_initializer(graph, f"{name}_zero_point", np.asarray(activation.zero_point), names)
    quantize = _node("QuantizeLinear", [value, scale, zero_point], f"{name}_quantize", names)
    codes = quantize.outputs[0]
    codes.name = names.value(f"{name}_quantized")
    dequantize = _node("DequantizeLinear", [codes, scale, zero_point], f"{name}_dequantize", names)
    output = dequantize.outputs[0]
    output.name, output.type, output.shape = names.value(f"{name}_dequantized"), value.type, value.shape
    return quantize, dequantize


def _node(operator: str, inputs: Sequence[ir.Value], name: str, names: Names) -> ir.Node:
    """Return a node with one output that is not inserted yet."""
    return ir.Node("", operator, inputs, num_outputs=1, name=names.node(name))


def _is_saturation(producer: ir.Node, activation: ActivationRange) -> bool:
    """Return True for a Relu or Clip that changes no value which the QuantizeLinear after it would not saturate."""
    if not is_rectifier(producer):
        return False
    lower, upper = activation.representable
    if is_relu(producer):
        return lower >= 0
    bounds = [None if bound is None else constant(bound) for bound in (*producer.inputs[1:], None, None)[:2]]
    if any(bound is None and value is not None for bound, value in zip(bounds, producer.inputs[1:], strict=False)):
        return False
    return (bounds[0] is None or lower >= float(bounds[0])) and (bounds[1] is None or upper <= float(bounds[1]))
