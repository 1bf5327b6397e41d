"""The twin graph: the float and the quantized model in one graph, with nodes that compare and correct them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.compose import add_prefix_graph

from quant.graph.activation_sites import MIN_ACTIVE_SHARE, ActivationSite, site_of
from quant.graph.inventory import Layer
from quant.graph.names import Names
from quant.graph.operators import is_add

_SIDE = "quantized/"


@dataclass(frozen=True)
class TwinGraph:
    """The twin graph of two models.

    Attributes:
        model: the serialized model.
        past: the name of the input for the sums of a layer's outputs over earlier batches, by the layer's name.
    """

    model: bytes
    past: Mapping[str, str]


def build_twin(
    float_model: onnx.ModelProto,
    quantized_model: onnx.ModelProto,
    layers: Sequence[Layer],
    *,
    feed_back: bool,
    energies: bool = True,
) -> TwinGraph:
    """Return a model that runs both models on the same inputs and compares them at each layer.

    With `feed_back`, each layer has one output (2, C) and one input (2, C). The output holds for each
    channel the mean of float - quantized after the activation, and the share of positions where either side is active.
    The input takes the sums of these outputs over earlier batches. Without `feed_back`, each layer has two outputs: the
    same mean (1, C), and the energies (3,) of the float output, the quantized output and their difference.

    Args:
        float_model: the float model.
        quantized_model: the quantized model, with layers under the same node names.
        layers: the layers to compare, all with a channel axis.
        feed_back: add the corrections so far to the quantized side before its next layer.
        energies: measure the energies, too, without `feed_back`.
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
    first_reader = {name: number for number, node in reversed(list(enumerate(side.node))) for name in node.input}
    del graph.output[:], graph.value_info[:]
    corrected: dict[str, str] = {}
    past: dict[str, str] = {}
    compared: dict[int, list[list[onnx.NodeProto]]] = {}
    for layer in layers:
        actual = outputs[layer.name]
        place = first_reader.get(actual, len(side.node))
        reading = _reading(site_of(layer), side, prefix, place, corrected)
        part = _Part(graph, layer, names)
        if feed_back:
            past[layer.name], corrected[actual] = part.correct(reference[layer.name], actual, reading)
        else:
            part.compare(reference[layer.name], actual, reading, energies)
        compared.setdefault(place, []).append(part.nodes)
    nodes = _side_by_side(list(graph.node), side, compared, corrected)
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(side.initializer)
    merged.ir_version = max(float_model.ir_version, quantized_model.ir_version)
    domains = {entry.domain: entry.version for entry in (*float_model.opset_import, *quantized_model.opset_import)}
    del merged.opset_import[:]
    merged.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in domains.items())
    return TwinGraph(bytes(merged.SerializeToString()), past)


def _free_prefix(graph: onnx.GraphProto) -> str:
    """Return a prefix for the names of the quantized side that no name of the float side has."""
    prefix, number = _SIDE, 1
    while Names.of_proto(graph).any_starts_with(prefix):
        prefix, number = f"{_SIDE.removesuffix('/')}_{number}/", number + 1
    return prefix


@dataclass(frozen=True)
class _Reading:
    """An activation that clips a layer's output at zero and at `upper`.

    Attributes:
        float_side: the activation's output on the float side.
        upper: the upper bound; None for a Relu.
        other: the tensor that is added to the layer's output on the quantized side before the activation.
    """

    float_side: str
    upper: NDArray[np.generic] | None
    other: str | None = None


def _reading(
    site: ActivationSite | None, side: onnx.GraphProto, prefix: str, place: int, corrected: Mapping[str, str]
) -> _Reading | None:
    """Return how the quantized side reads a layer; None if that is not known before its node of number `place`."""
    if site is None:
        return None
    if site.total is None:
        return _Reading(site.output, site.upper)
    makers = {name: (number, node) for number, node in enumerate(side.node) for name in node.output}
    _, add = makers.get(prefix + site.total, (0, None))
    if add is None or not is_add(add):
        return None
    other = add.input[site.other]
    number, _ = makers.get(other, (-1, None))
    return _Reading(site.output, site.upper, corrected.get(other, other)) if number < place else None


def _side_by_side(
    floats: list[onnx.NodeProto],
    side: onnx.GraphProto,
    compared: Mapping[int, list[list[onnx.NodeProto]]],
    corrected: Mapping[str, str],
) -> list[onnx.NodeProto]:
    """Return the nodes of both sides and of the comparisons, in an order that keeps few tensors in memory.

    The float side runs only as far as the next comparison needs it. Nodes of the quantized side read corrected outputs.

    Args:
        floats: the nodes of the float side.
        side: the graph of the quantized side.
        compared: the nodes of comparisons, by the number of the quantized node before which they run.
        corrected: the name of the corrected output, by the name of a layer's output on the quantized side.
    """
    makers = {name: number for number, node in enumerate(floats) for name in node.output}
    nodes: list[onnx.NodeProto] = []
    completed = 0
    for number in range(len(side.node) + 1):
        for comparison in compared.get(number, ()):
            needed = 1 + max(makers.get(name, -1) for node in comparison for name in node.input)
            nodes += [*floats[completed:needed], *comparison]
            completed = max(completed, needed)
        if number < len(side.node):
            node = side.node[number]
            for index, name in enumerate(node.input):
                node.input[index] = corrected.get(name, name)
            nodes.append(node)
    return nodes + floats[completed:]


@dataclass
class _Part:
    """The nodes that compare one layer's outputs; their constants, inputs and outputs are added to the graph."""

    graph: onnx.GraphProto
    layer: Layer
    names: Names
    nodes: list[onnx.NodeProto] = field(default_factory=list)

    def correct(self, expected: str, actual: str, reading: _Reading | None) -> tuple[str, str]:
        """Add nodes that measure the means and feed them back; return their input and the corrected output by name."""
        past, channels = self.names.value(f"{self.layer.name}/past"), self.layer.output_channels
        self.graph.input.append(helper.make_tensor_value_info(past, TensorProto.FLOAT, [2, channels]))
        sides = self._sides(expected, actual, reading)
        mean = self._mean(self._put("Sub", sides))
        if reading is None:
            share = self._constant(np.ones((1, channels), np.float32))
        else:
            active = self._mean(self._sign(self._put("Add", sides)))  # both are never negative
            share = self._put("Max", [active, self._constant(np.array(MIN_ACTIVE_SHARE, np.float32))])
        measured = self._put("Concat", [mean, share], axis=0)
        self._output(measured, [2, channels])
        sums, shares = self._rows(self._put("Add", [measured, past]))
        shape = [1, channels, *[1] * (len(self.layer.shape) - 2)] if self._spatial else [channels]
        feedback = self._put("Reshape", [self._put("Div", [sums, shares]), self._constant(np.array(shape))])
        return past, self._put("Add", [actual, feedback])

    def compare(self, expected: str, actual: str, reading: _Reading | None, energies: bool) -> None:
        """Add nodes that measure the means and, if asked, the energies."""
        mean = self._mean(self._put("Sub", self._sides(expected, actual, reading)))
        self._output(mean, [1, self.layer.output_channels])
        if not energies:
            return
        difference = self._put("Sub", [expected, actual])
        sums = [self._put("ReduceSumSquare", [value], keepdims=0) for value in (expected, actual, difference)]
        first = self._constant(np.array([0]))
        self._output(self._put("Concat", [self._put("Unsqueeze", [energy, first]) for energy in sums], axis=0), [3])

    def _sides(self, expected: str, actual: str, reading: _Reading | None) -> list[str]:
        """Return the tensors of the float and the quantized side that the next layers read."""
        if reading is None:
            return [expected, actual]
        read = actual if reading.other is None else self._put("Add", [actual, reading.other])
        if reading.upper is not None and reading.upper.size == 1:
            bounds = [np.zeros((), reading.upper.dtype), reading.upper.reshape(())]
            return [reading.float_side, self._put("Clip", [read, *map(self._constant, bounds)])]
        read = self._put("Relu", [read])
        if reading.upper is not None:
            read = self._put("Min", [read, self._constant(reading.upper)])
        return [reading.float_side, read]

    def _output(self, name: str, size: Sequence[int]) -> None:
        """Make a tensor an output of the graph."""
        self.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, size))

    def _mean(self, value: str) -> str:
        """Return the mean of each channel (1, C)."""
        axes = [0, *range(2, len(self.layer.shape))] if self._spatial else [0]
        if not self._spatial:
            value = self._put("Reshape", [value, self._constant(np.array([-1, self.layer.output_channels]))])
        mean = self._put("ReduceMean", [value, self._constant(np.array(axes))], keepdims=0)
        return self._put("Unsqueeze", [mean, self._constant(np.array([0]))])

    def _sign(self, value: str) -> str:
        """Return 1 where a value is positive, 0 where it is zero; ONNX Runtime's Sign takes three times as long."""
        return self._put("HardSigmoid", [value], alpha=float(np.finfo(np.float32).max), beta=0.0)

    def _rows(self, pair: str) -> tuple[str, str]:
        """Return the two rows (1, C) of a tensor."""
        names = [self.names.value(f"{pair}/{row}") for row in range(2)]
        split = self.names.node(f"{pair}/rows")
        self.nodes.append(helper.make_node("Split", [pair], names, split, axis=0, num_outputs=2))
        return names[0], names[1]

    @property
    def _spatial(self) -> bool:
        return self.layer.operator.spatial

    def _put(self, op: str, inputs: list[str], **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        name = self.names.value(f"{self.layer.name}/{len(self.nodes)}")
        self.nodes.append(helper.make_node(op, inputs, [name], self.names.node(name), **attributes))
        return name

    def _constant(self, value: NDArray[np.generic]) -> str:
        """Add an initializer and return its name."""
        name = self.names.value(f"{self.layer.name}/constant{len(self.graph.initializer)}")
        self.graph.initializer.append(numpy_helper.from_array(value, name))
        return name
