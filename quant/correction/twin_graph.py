"""The graph that has the float and the quantized model side by side, with what compares and corrects them."""

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
from quant.graph.operators import is_add

_SIDE = "quantized/"


def build_twin(
    float_model: onnx.ModelProto, quantized_model: onnx.ModelProto, layers: Sequence[Layer], *, feed_back: bool
) -> bytes:
    """One model with the inputs of both, that compares them at each layer.

    With `feed_back` there is an input for what was seen of each layer in earlier batches (2, C), and an output for
    what is seen in this one: channel by channel, the mean of float - quantized behind the activation and the share of
    positions where either is active. Without, there are two outputs a layer: that mean (1, C), and the energies (3,)
    of the layer's float output, of its quantized one and of their difference.
    """
    merged = onnx.ModelProto()
    merged.CopyFrom(float_model)
    graph = merged.graph
    side = onnx.GraphProto()
    side.CopyFrom(quantized_model.graph)
    taken = {tensor.name: _SIDE + tensor.name for tensor in side.initializer}
    side = add_prefix_graph(side, _SIDE, rename_inputs=False, inplace=True, name_map=taken)
    outputs = {node.name.removeprefix(_SIDE): node.output[0] for node in side.node}
    reference = {node.name: node.output[0] for node in graph.node}
    first_reader = {name: number for number, node in reversed(list(enumerate(side.node))) for name in node.input}
    del graph.output[:], graph.value_info[:]
    corrected: dict[str, str] = {}
    compared: dict[int, list[list[onnx.NodeProto]]] = {}
    for layer in layers:
        actual = outputs[layer.name]
        place = first_reader.get(actual, len(side.node))
        reading = _reading(site_of(layer), side, place, corrected)
        part = _Part(graph, layer)
        if feed_back:
            corrected[actual] = part.correct(reference[layer.name], actual, reading)
        else:
            part.compare(reference[layer.name], actual, reading)
        compared.setdefault(place, []).append(part.nodes)
    nodes = _side_by_side(list(graph.node), side, compared, corrected)
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(side.initializer)
    merged.ir_version = max(float_model.ir_version, quantized_model.ir_version)
    domains = {entry.domain: entry.version for entry in (*float_model.opset_import, *quantized_model.opset_import)}
    del merged.opset_import[:]
    merged.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in domains.items())
    return bytes(merged.SerializeToString())


def past(name: str) -> str:
    """The input for what was seen of a layer in earlier batches."""
    return f"{name}/past"


@dataclass(frozen=True)
class _Reading:
    """An activation that cuts at zero and at `upper`; it makes `float_side`, and on the quantized side reads the
    layer's output, or the sum with `other`."""

    float_side: str
    upper: NDArray[np.generic] | None
    other: str | None = None


def _reading(
    site: ActivationSite | None, side: onnx.GraphProto, place: int, corrected: Mapping[str, str]
) -> _Reading | None:
    """How the quantized side reads a layer; None where that is not known before its node of number `place`."""
    if site is None:
        return None
    if site.total is None:
        return _Reading(site.output, site.upper)
    makers = {name: (number, node) for number, node in enumerate(side.node) for name in node.output}
    _, add = makers.get(_SIDE + site.total, (0, None))
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
    """The nodes of both sides, the quantized one's reading the corrected outputs and each with the comparisons of its
    number before it; the float side is only ever as far as these need it, so that little is held at a time."""
    makers = {name: number for number, node in enumerate(floats) for name in node.output}
    nodes: list[onnx.NodeProto] = []
    done = 0
    for number in range(len(side.node) + 1):
        for comparison in compared.get(number, ()):
            needed = 1 + max(makers.get(name, -1) for node in comparison for name in node.input)
            nodes += [*floats[done:needed], *comparison]
            done = max(done, needed)
        if number < len(side.node):
            node = side.node[number]
            for index, name in enumerate(node.input):
                node.input[index] = corrected.get(name, name)
            nodes.append(node)
    return nodes + floats[done:]


@dataclass
class _Part:
    """The nodes that compare one layer's outputs; their constants, inputs and outputs are added to the graph."""

    graph: onnx.GraphProto
    layer: Layer
    nodes: list[onnx.NodeProto] = field(default_factory=list)

    def correct(self, expected: str, actual: str, reading: _Reading | None) -> str:
        """Put what measures the means and feeds them back; the name of the corrected quantized output."""
        name, channels = self.layer.name, self.layer.output_channels
        self.graph.input.append(helper.make_tensor_value_info(past(name), TensorProto.FLOAT, [2, channels]))
        sides = self._sides(expected, actual, reading)
        mean = self._mean(self._put("Sub", sides))
        if reading is None:
            share = self._constant(np.ones((1, channels), np.float32))
        else:
            active = self._mean(self._sign(self._put("Max", sides)))
            share = self._put("Max", [active, self._constant(np.array(MIN_ACTIVE_SHARE, np.float32))])
        seen = self._put("Concat", [mean, share], axis=0)
        self._output(seen, [2, channels])
        sums, shares = self._rows(self._put("Add", [seen, past(name)]))
        shape = [1, channels, *[1] * (len(self.layer.shape) - 2)] if self._spatial else [channels]
        feedback = self._put("Reshape", [self._put("Div", [sums, shares]), self._constant(np.array(shape))])
        return self._put("Add", [actual, feedback])

    def compare(self, expected: str, actual: str, reading: _Reading | None) -> None:
        """Put what measures the means and the energies."""
        mean = self._mean(self._put("Sub", self._sides(expected, actual, reading)))
        self._output(mean, [1, self.layer.output_channels])
        difference = self._put("Sub", [expected, actual])
        energies = [self._put("ReduceSumSquare", [value], keepdims=0) for value in (expected, actual, difference)]
        first = self._constant(np.array([0]))
        self._output(self._put("Concat", [self._put("Unsqueeze", [one, first]) for one in energies], axis=0), [3])

    def _sides(self, expected: str, actual: str, reading: _Reading | None) -> list[str]:
        """What the next layers see of both."""
        if reading is None:
            return [expected, actual]
        read = actual if reading.other is None else self._put("Add", [actual, reading.other])
        read = self._put("Relu", [read])
        if reading.upper is not None:
            read = self._put("Min", [read, self._constant(reading.upper)])
        return [reading.float_side, read]

    def _output(self, name: str, size: Sequence[int]) -> None:
        self.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, size))

    def _mean(self, value: str) -> str:
        """The mean of each channel (1, C)."""
        axes = [0, *range(2, len(self.layer.shape))] if self._spatial else [0]
        if not self._spatial:
            value = self._put("Reshape", [value, self._constant(np.array([-1, self.layer.output_channels]))])
        mean = self._put("ReduceMean", [value, self._constant(np.array(axes))], keepdims=0)
        return self._put("Unsqueeze", [mean, self._constant(np.array([0]))])

    def _sign(self, value: str) -> str:
        """1 where a value is positive, 0 where it is zero; ONNX Runtime's Sign takes three times as long."""
        steep = self._put("Mul", [value, self._constant(np.array(np.finfo(np.float32).max))])
        return self._put("Min", [steep, self._constant(np.array(1, np.float32))])

    def _rows(self, pair: str) -> tuple[str, str]:
        """The two rows (1, C) of a tensor."""
        names = [f"{pair}/{row}" for row in range(2)]
        self.nodes.append(helper.make_node("Split", [pair], names, f"{pair}/rows", axis=0, num_outputs=2))
        return names[0], names[1]

    @property
    def _spatial(self) -> bool:
        return self.layer.operator.spatial

    def _put(self, op: str, inputs: list[str], **attributes: Any) -> str:
        name = f"{self.layer.name}/{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        return name

    def _constant(self, value: NDArray[np.generic]) -> str:
        name = f"{self.layer.name}/constant{len(self.graph.initializer)}"
        self.graph.initializer.append(numpy_helper.from_array(value, name))
        return name
