"""Nodes that are added to a graph at one layer: its output as an activation reads it, and means of its channels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from quant.graph.activation_sites import ActivationSite
from quant.graph.inventory import Layer
from quant.graph.names import Names
from quant.graph.operators import is_add

STEEPEST = float(np.finfo(np.float32).max)
"""The slope with which a HardSigmoid is 1 for every positive normal value."""


def with_channels(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers whose output has a channel axis."""
    return [layer for layer in layers if layer.output_axis is not None]


@dataclass(frozen=True)
class Reading:
    """An activation that clips a layer's output at zero and at `upper`.

    Attributes:
        float_side: the activation's output in the float model.
        upper: the upper bound; None for a Relu.
        other: the tensor that is added to the layer's output in the quantized model before the activation.
    """

    float_side: str
    upper: NDArray[np.generic] | None
    other: str | None = None


def reading_of(
    site: ActivationSite | None, side: onnx.GraphProto, prefix: str, place: int, corrected: Mapping[str, str]
) -> Reading | None:
    """Return how the quantized model reads a layer; None if that is not known before its node of number `place`.

    Args:
        site: the activation of the float model.
        side: the quantized model's graph.
        prefix: the beginning of the names of its tensors.
        place: the number of the first node that reads the layer's output.
        corrected: the name of the corrected output, by the name of a layer's output.
    """
    if site is None:
        return None
    if site.total is None:
        return Reading(site.output, site.upper)
    makers = {name: (number, node) for number, node in enumerate(side.node) for name in node.output}
    _, add = makers.get(prefix + site.total, (0, None))
    if add is None or not is_add(add):
        return None
    other = add.input[site.other]
    number, _ = makers.get(other, (-1, None))
    return Reading(site.output, site.upper, corrected.get(other, other)) if number < place else None


def first_readers(graph: onnx.GraphProto) -> dict[str, int]:
    """Return the number of the first node that reads each tensor, by the tensor's name."""
    return {name: number for number, node in reversed(list(enumerate(graph.node))) for name in node.input}


@dataclass
class LayerNodes:
    """The nodes at one layer's output; their constants, inputs and outputs are added to the graph."""

    graph: onnx.GraphProto
    layer: Layer
    names: Names
    nodes: list[onnx.NodeProto] = field(default_factory=list)

    def read(self, actual: str, reading: Reading | None) -> str:
        """Return the tensor that the next layers read, by the name of the layer's output."""
        if reading is None:
            return actual
        read = actual if reading.other is None else self.put("Add", [actual, reading.other])
        if reading.upper is not None and reading.upper.size == 1:
            bounds = [np.zeros((), reading.upper.dtype), reading.upper.reshape(())]
            return self.put("Clip", [read, *map(self.constant, bounds)])
        read = self.put("Relu", [read])
        return read if reading.upper is None else self.put("Min", [read, self.constant(reading.upper)])

    def mean(self, value: str) -> str:
        """Return the mean of each channel (1, C)."""
        axes = [0, *range(2, len(self.layer.shape))] if self.spatial else [0]
        if not self.spatial:
            value = self.put("Reshape", [value, self.constant(np.array([-1, self.layer.output_channels]))])
        mean = self.put("ReduceMean", [value, self.constant(np.array(axes))], keepdims=0)
        return self.put("Unsqueeze", [mean, self.constant(np.array([0]))])

    def positive(self, value: str) -> str:
        """Return 1 where a value that is never negative is positive; ONNX Runtime's Sign takes three times as long."""
        return self.put("HardSigmoid", [value], alpha=STEEPEST, beta=0.0)

    def rows(self, value: str, count: int) -> list[str]:
        """Return the rows (1, C) of a tensor (count, C)."""
        names = [self.names.value(f"{value}/{row}") for row in range(count)]
        split = self.names.node(f"{value}/rows")
        self.nodes.append(helper.make_node("Split", [value], names, split, axis=0, num_outputs=count))
        return names

    @property
    def spatial(self) -> bool:
        """True if the output is a map (N, C, ...), False if its last axis holds the channels."""
        return self.layer.operator.spatial

    def put(self, op: str, inputs: list[str], **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        name = self.names.value(f"{self.layer.name}/{len(self.nodes)}")
        self.nodes.append(helper.make_node(op, inputs, [name], self.names.node(name), **attributes))
        return name

    def constant(self, value: NDArray[np.generic]) -> str:
        """Add an initializer and return its name."""
        name = self.names.value(f"{self.layer.name}/constant{len(self.graph.initializer)}")
        self.graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    def input(self, base: str, shape: Sequence[int]) -> str:
        """Add an input to the graph and return its name."""
        name = self.names.value(base)
        self.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name

    def output(self, name: str, shape: Sequence[int]) -> None:
        """Make a tensor an output of the graph."""
        self.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
