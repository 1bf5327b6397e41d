"""Smoothing: outliers of the inputs of linear layers are moved into the weights, without changing the model's outputs.

The division of the inputs is absorbed by the operators that compute them where these are a LayerNormalization, a
linear layer, or sums and products with constants; elsewhere a Mul by the reciprocal is inserted. See docs/methods.md,
"Smoothing".
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.calibration.channel_inputs import ChannelInputs
from quant.equalization.absorb import absorb, can_absorb
from quant.equalization.smoothing_factors import Precision, Smoothing, choose_smoothing
from quant.graph.biases import add_to_biases
from quant.graph.constants import add_initializer
from quant.graph.inventory import Layer
from quant.graph.names import Names

USEFUL_ERROR = 0.9
"""A smoothing is used if the output error on the sample falls below this share of the error without it."""
USEFUL_ERROR_OF_MUL = 0.75
"""The same where the smoothing inserts a Mul, which takes time."""


@dataclass(frozen=True)
class LinearGroup:
    """All linear layers with or without an integer kernel that read one tensor along its last axis.

    `absorbed` is True if the operators before the tensor can absorb its smoothing, which needs that the layers alone
    read the tensor.
    """

    value: ir.Value
    layers: tuple[Layer, ...]
    absorbed: bool

    @property
    def weights(self) -> list[NDArray[np.float32]]:
        """The weights (K, N) of the layers, with the inputs along the first axis."""
        moved = (np.moveaxis(layer.weight, _inputs_axis(layer), 0) for layer in self.layers)
        return [weight.reshape(len(weight), -1) for weight in moved]


def linear_groups(layers: Sequence[Layer]) -> list[LinearGroup]:
    """Return the groups of linear layers in graph order, the inputs of recurrent layers among them.

    A weight that several nodes read is left out.
    """
    uses = Counter(layer.weight_name for layer in layers)
    groups: dict[tuple[ir.Value, bool], list[Layer]] = {}
    for layer in layers:
        unshared = uses[layer.weight_name] == len(layer.operand(layer.weight_index).uses()) == 1
        if unshared and layer.inputs_axis is not None:
            groups.setdefault((layer.operand(layer.input_index), layer.float_only is None), []).append(layer)
    return [_group(value, members) for (value, _), members in groups.items()]


def smooth(groups: Sequence[LinearGroup], inputs: Mapping[str, ChannelInputs], precisions: Sequence[Precision]) -> int:
    """Smooth the inputs of the groups in place where that lowers their error, and return the number of groups changed.

    Args:
        groups: groups of linear layers of one model.
        inputs: the inputs that were observed, by the tensor's name; groups without inputs stay as they are.
        precisions: the grids of inputs and weights of each group.
    """
    changed = 0
    for group, precision in zip(groups, precisions, strict=True):
        name = str(group.value.name)
        if name not in inputs:
            continue
        smoothing, error = choose_smoothing(inputs[name], group.weights, precision, shifted=group.absorbed)
        if error < (USEFUL_ERROR if group.absorbed else USEFUL_ERROR_OF_MUL):
            _apply(group, smoothing)
            changed += 1
    return changed


def _group(value: ir.Value, layers: list[Layer]) -> LinearGroup:
    readers = {layer.node for layer in layers}
    alone = not value.is_graph_output() and all(use.node in readers for use in value.uses())
    return LinearGroup(value, tuple(layers), alone and can_absorb(value, layers[0].shape[_inputs_axis(layers[0])]))


def _inputs_axis(layer: Layer) -> int:
    axis = layer.inputs_axis
    assert axis is not None, "the layers of a group sum over the last axis of their input"
    return axis


def _apply(group: LinearGroup, smoothing: Smoothing) -> None:
    """Rewrite the operators before the group's tensor, and the weights and biases of its layers."""
    graph = group.layers[0].graph
    names = Names.of(graph)
    shifts = {}
    for layer, weight in zip(group.layers, group.weights, strict=True):
        along_inputs = [-1 if axis == _inputs_axis(layer) else 1 for axis in range(len(layer.shape))]
        scaled = (layer.weight * smoothing.factor.reshape(along_inputs)).astype(np.float32)
        shifts[layer.name] = smoothing.shift @ weight.astype(np.float64)
        value = add_initializer(graph, f"{layer.weight_name}_smoothed", scaled, names)
        layer.node.replace_input_with(layer.weight_index, value)
    if group.absorbed:
        absorb(group.value, smoothing)
    else:
        _insert_mul(graph, group, smoothing, names)
    if smoothing.shift.any():
        add_to_biases(group.layers, shifts)


def _insert_mul(graph: ir.Graph, group: LinearGroup, smoothing: Smoothing, names: Names) -> None:
    """Insert a Mul of the reciprocal factors between the tensor and the layers of the group."""
    value, producer = group.value, group.value.producer()
    reciprocal = (1 / smoothing.factor).astype(np.float32)
    constant = add_initializer(graph, f"{value.name}_reciprocal", reciprocal, names)
    mul = ir.Node("", "Mul", [value, constant], num_outputs=1, name=names.node(f"{value.name}_smooth"))
    product = mul.outputs[0]
    product.name, product.type, product.shape = names.value(f"{value.name}_smoothed"), value.type, value.shape
    for layer in group.layers:
        layer.node.replace_input_with(layer.input_index, product)
    if producer is None:
        graph.insert_before(graph[0], mul)
    else:
        graph.insert_after(producer, mul)
