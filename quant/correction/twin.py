"""The twin graph: the float and the quantized model in one graph, with nodes that compare them."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper
from onnx.compose import add_prefix_graph

from quant.correction.layer_nodes import LayerNodes, first_readers, reading_of
from quant.errors import ExportError
from quant.graph.activation_sites import site_of
from quant.graph.inventory import Layer
from quant.graph.names import Names
from quant.graph.weightless import Weightless
from quant.runtime import Session

_SIDE = "quantized/"


def twin_session(
    float_model: Weightless, quantized_model: ir.Model, layers: Sequence[Layer], *, energies: bool = True
) -> Session:
    """Return a session of the twin graph (see `build_twin`).

    Raises:
        ExportError: the models do not run as one.
    """
    twin = build_twin(float_model.proto, ir.to_proto(quantized_model), layers, energies=energies)
    return Session(twin, "the twin graph", ExportError, float_model.arrays, fold_weights=True, in_order=True)


def build_twin(
    float_model: onnx.ModelProto, quantized_model: onnx.ModelProto, layers: Sequence[Layer], *, energies: bool = True
) -> bytes:
    """Return a serialized model that runs both models on the same inputs and compares them at each layer.

    Each layer has two outputs: for each channel the mean of float - quantized after the activation (1, C), and the
    energies (3,) of the float output, the quantized output and their difference.

    Args:
        float_model: the float model.
        quantized_model: the quantized model, with layers under the same node names.
        layers: the layers to compare, all with a channel axis.
        energies: measure the energies, too.
    """
    merged = onnx.ModelProto()
    merged.CopyFrom(float_model)
    graph = merged.graph
    side = onnx.GraphProto()
    side.CopyFrom(quantized_model.graph)
    del side.output[:]  # an input that is an output too keeps its name
    prefix = _free_prefix(graph)
    taken = {tensor.name: prefix + tensor.name for tensor in side.initializer}
    side = add_prefix_graph(side, prefix, rename_inputs=False, inplace=True, name_map=taken)
    names = Names.of_proto(graph, side)
    outputs = {node.name.removeprefix(prefix): node.output[0] for node in side.node}
    reference = {node.name: node.output[0] for node in graph.node}
    readers = first_readers(side)
    del graph.output[:], graph.value_info[:]
    compared: dict[int, list[list[onnx.NodeProto]]] = {}
    for layer in layers:
        actual = outputs[layer.name]
        place = readers.get(actual, len(side.node))
        nodes = LayerNodes(graph, layer, names)
        reading = reading_of(site_of(layer), side, prefix, place, {})
        expected_read = reference[layer.name] if reading is None else reading.float_side
        mean = nodes.mean(nodes.put("Sub", [expected_read, nodes.read(actual, reading)]))
        nodes.output(mean, [1, layer.output_channels])
        if energies:
            nodes.output(_energies(nodes, reference[layer.name], actual), [3])
        compared.setdefault(place, []).append(nodes.nodes)
    nodes_in_order = _side_by_side(list(graph.node), side, compared)
    del graph.node[:]
    graph.node.extend(nodes_in_order)
    graph.initializer.extend(side.initializer)
    merged.ir_version = max(float_model.ir_version, quantized_model.ir_version)
    domains = {entry.domain: entry.version for entry in (*float_model.opset_import, *quantized_model.opset_import)}
    del merged.opset_import[:]
    merged.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in domains.items())
    return bytes(merged.SerializeToString())


def _energies(nodes: LayerNodes, expected: str, actual: str) -> str:
    """Add nodes that measure the energies of both outputs and of their difference; return the tensor's name (3,)."""
    difference = nodes.put("Sub", [expected, actual])
    sums = [nodes.put("ReduceSumSquare", [value], keepdims=0) for value in (expected, actual, difference)]
    first = nodes.constant(np.array([0]))
    return nodes.put("Concat", [nodes.put("Unsqueeze", [energy, first]) for energy in sums], axis=0)


def _free_prefix(graph: onnx.GraphProto) -> str:
    """Return a prefix for the names of the quantized side that no name of the float side has."""
    prefix, number = _SIDE, 1
    while Names.of_proto(graph).any_starts_with(prefix):
        prefix, number = f"{_SIDE.removesuffix('/')}_{number}/", number + 1
    return prefix


def _side_by_side(
    floats: list[onnx.NodeProto], side: onnx.GraphProto, compared: Mapping[int, list[list[onnx.NodeProto]]]
) -> list[onnx.NodeProto]:
    """Return the nodes of both sides and of the comparisons, in an order that keeps few tensors in memory.

    The float side runs only as far as the next comparison needs it.

    Args:
        floats: the nodes of the float side.
        side: the graph of the quantized side.
        compared: the nodes of comparisons, by the number of the quantized node before which they run.
    """
    makers = {name: number for number, node in enumerate(floats) for name in node.output}
    nodes: list[onnx.NodeProto] = []
    completed = 0
    for number in range(len(side.node) + 1):
        for comparison in compared.get(number, ()):
            needed = 1 + max(makers.get(name, -1) for node in comparison for name in node.input)
            nodes += [*floats[completed:needed], *comparison]
            completed = max(completed, needed)
        nodes += side.node[number : number + 1]
    return nodes + floats[completed:]
