"""The quantized model with feedback: every layer's output is corrected before the next layer reads it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from quant.correction.layer_nodes import LayerNodes, Reading, first_readers, reading_of
from quant.graph.activation_sites import site_of
from quant.graph.inventory import Layer
from quant.graph.names import Names


@dataclass(frozen=True)
class FeedbackGraph:
    """The quantized model with feedback.

    Attributes:
        model: the serialized model; its only outputs are those of the layers.
        inputs: the name of each layer's input, by the layer's name.
        activated: the names of the layers that are compared after an activation.
    """

    model: bytes
    inputs: Mapping[str, str]
    activated: frozenset[str]


def add_feedback(quantized: onnx.ModelProto, layers: Sequence[Layer]) -> FeedbackGraph:
    """Return the quantized model with nodes that measure and correct its layers; the argument is changed in place.

    Each layer has one output (2, C) and one input (3, C). The output holds the mean of each channel after the
    activation, and the share of positions where the quantized or the float model is active, whichever is larger. The
    rows of the input are the sum of the float means so far less the sum of the earlier quantized means, the sum of the
    earlier shares, and the float model's share.

    Args:
        quantized: the quantized model, with layers under the same node names as in the float model.
        layers: the layers to correct, all with a channel axis.
    """
    graph, names = quantized.graph, Names.of_proto(quantized.graph)
    outputs = {node.name: node.output[0] for node in graph.node}
    place = first_readers(graph)
    del graph.output[:], graph.value_info[:]
    corrected: dict[str, str] = {}
    inputs: dict[str, str] = {}
    activated: set[str] = set()
    added: dict[int, list[onnx.NodeProto]] = {}
    for layer in layers:
        actual = outputs[layer.name]
        number = place.get(actual, len(graph.node))
        reading = reading_of(site_of(layer), graph, "", number, corrected)
        nodes = LayerNodes(graph, layer, names)
        inputs[layer.name], corrected[actual] = _corrected(nodes, actual, reading)
        activated |= set() if reading is None else {layer.name}
        added.setdefault(number, []).extend(nodes.nodes)
    nodes_in_order: list[onnx.NodeProto] = []
    for number, node in enumerate(graph.node):
        nodes_in_order += added.get(number, ())
        for index, name in enumerate(node.input):
            node.input[index] = corrected.get(name, name)
        nodes_in_order.append(node)
    nodes_in_order += added.get(len(graph.node), ())
    del graph.node[:]
    graph.node.extend(nodes_in_order)
    return FeedbackGraph(bytes(quantized.SerializeToString()), inputs, frozenset(activated))


def _corrected(nodes: LayerNodes, actual: str, reading: Reading | None) -> tuple[str, str]:
    """Add the nodes of one layer and return the names of its input and of its corrected output."""
    layer, channels = nodes.layer, nodes.layer.output_channels
    given = nodes.input(f"{layer.name}/float", [3, channels])
    expected, earlier, active = nodes.rows(given, 3)
    read = nodes.read(actual, reading)
    mean = nodes.mean(read)
    share = active if reading is None else nodes.put("Max", [active, nodes.mean(nodes.positive(read))])
    nodes.output(nodes.put("Concat", [mean, share], axis=0), [2, channels])
    shift, shares = nodes.put("Sub", [expected, mean]), nodes.put("Add", [earlier, share])
    shape = [1, channels, *[1] * (len(layer.shape) - 2)] if nodes.spatial else [channels]
    feedback = nodes.put("Reshape", [nodes.put("Div", [shift, shares]), nodes.constant(np.array(shape))])
    return given, nodes.put("Add", [actual, feedback])
