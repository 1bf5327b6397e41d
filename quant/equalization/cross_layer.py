"""Moving scale between two layers in a row, so that the channels of both use their grids alike."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.graph.constants import add_initializer, constant
from quant.graph.inventory import Layer, inventory
from quant.graph.operators import is_clip, is_relu
from quant.graph.uses import only_reader

ROUNDS, TOLERANCE = 20, 1e-3
LIMIT = 64.0
"""Factors stay between 1 / LIMIT and LIMIT: beyond them a channel is as good as dead."""


@dataclass(frozen=True)
class LayerPair:
    """A Conv whose output goes, through `activation` alone, into another Conv and nowhere else."""

    first: Layer
    activation: ir.Node | None
    second: Layer


def equalize(model: ir.Model) -> dict[str, NDArray[np.float64]]:
    """Rescale the channels between every pair of convolutions in place, without changing the model's outputs.

    Channel i of the first layer is divided by s_i = sqrt(r1_i / r2_i), the second's weights for it multiplied by s_i,
    with r the largest |w| of the channel on either side; repeated until no factor moves (Nagel et al., 2019). What
    lies between must let a positive factor through: nothing or Relu, or a Clip at zero and an upper bound, whose
    bound is then divided channel by channel as Min(Relu(x), bound / s).

    Returns:
        The factor 1 / s (C,) of each first layer's output, by the name of that tensor.
    """
    pairs = list(_pairs(model))
    weights = {one.name: one.weight.astype(np.float64) for pair in pairs for one in (pair.first, pair.second)}
    factors = {pair.first.name: np.ones(pair.first.shape[0]) for pair in pairs}
    for _ in range(ROUNDS):
        moved = 0.0
        for pair in pairs:
            step = _step(weights[pair.first.name], weights[pair.second.name], is_depthwise(pair.second))
            step = np.clip(step, factors[pair.first.name] / LIMIT, factors[pair.first.name] * LIMIT)
            factors[pair.first.name] = factors[pair.first.name] / step
            weights[pair.first.name] = weights[pair.first.name] / _outputs(step, weights[pair.first.name])
            weights[pair.second.name] = weights[pair.second.name] * _inputs(step, pair.second)
            moved = max(moved, float(np.abs(np.log(step)).max()))
        if moved < TOLERANCE:
            break
    for pair in pairs:
        _scale_bias(pair.first, factors[pair.first.name])
        _scale_clip(pair, factors[pair.first.name])
    for one in {layer.name: layer for pair in pairs for layer in (pair.first, pair.second)}.values():
        value = add_initializer(one.graph, f"{one.weight_name}_equalized", weights[one.name].astype(np.float32))
        one.node.replace_input_with(one.weight_index, value)
    return {str(pair.first.node.outputs[0].name): factors[pair.first.name] for pair in pairs}


def _pairs(model: ir.Model) -> Iterator[LayerPair]:
    layers, _ = inventory(model)
    by_node = {layer.node: layer for layer in layers if layer.operator.convolution and layer.graph is model.graph}
    shared = {layer.weight_name for layer in layers if sum(one.weight_name == layer.weight_name for one in layers) > 1}
    for first in by_node.values():
        consumer = only_reader(first.node.outputs[0])
        activation = None
        if consumer is not None and consumer not in by_node and _passes_factors(consumer):
            activation, consumer = consumer, only_reader(consumer.outputs[0])
        second = by_node.get(consumer) if consumer is not None else None
        if second is None or consumer is None or (first.bias is not None and constant(first.bias) is None):
            continue
        if mixes_all_or_none(second) and not {first.weight_name, second.weight_name} & shared:
            yield LayerPair(first, activation, second)


def _passes_factors(node: ir.Node) -> bool:
    if is_relu(node):
        return True
    if not is_clip(node):
        return False
    bounds = [constant(value) for value in node.inputs[1:]]
    return len(bounds) == 2 and bounds[0] is not None and bounds[1] is not None and float(bounds[0]) == 0


def mixes_all_or_none(layer: Layer) -> bool:
    """Whether each output of a Conv reads all input channels, or one of its own."""
    return int(layer.node.attributes.get_int("group", 1)) == 1 or is_depthwise(layer)


def is_depthwise(layer: Layer) -> bool:
    """Whether each output of a Conv reads one input channel of its own."""
    groups = int(layer.node.attributes.get_int("group", 1))
    return groups > 1 and layer.shape[1] == 1 and layer.shape[0] == groups


def _step(first: NDArray[np.float64], second: NDArray[np.float64], depthwise: bool) -> NDArray[np.float64]:
    """s (C,); 1 for a channel that is zero on either side."""
    ranges = np.abs(first).reshape(len(first), -1).max(axis=1)
    facing = second if depthwise else second.swapaxes(0, 1)
    other = np.abs(facing).reshape(len(facing), -1).max(axis=1)
    used = (ranges > 0) & (other > 0)
    return np.where(used, np.sqrt(np.where(used, ranges, 1) / np.where(used, other, 1)), 1.0)


def _outputs(step: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    return step.reshape(-1, *[1] * (weight.ndim - 1))


def _inputs(step: NDArray[np.float64], layer: Layer) -> NDArray[np.float64]:
    spatial = [1] * (len(layer.shape) - 2)
    return step.reshape(-1, 1, *spatial) if is_depthwise(layer) else step.reshape(1, -1, *spatial)


def _scale_bias(layer: Layer, factor: NDArray[np.float64]) -> None:
    bias = constant(layer.bias)
    if bias is not None:
        scaled = (bias.astype(np.float64) * factor).astype(np.float32)
        layer.node.replace_input_with(2, add_initializer(layer.graph, f"{layer.name}_equalized_bias", scaled))


def _scale_clip(pair: LayerPair, factor: NDArray[np.float64]) -> None:
    """Clip(x, 0, b) on a rescaled channel is Min(Relu(x), b times the channel's factor)."""
    node = pair.activation
    if node is None or not is_clip(node):
        return
    graph, old = pair.first.graph, node.outputs[0]
    upper = constant(node.inputs[2])
    assert upper is not None, "only a Clip of constant bounds is in a pair"
    shaped = (float(upper) * factor).astype(np.float32).reshape(-1, *[1] * (len(pair.first.shape) - 2))
    bound = add_initializer(graph, f"{old.name}_bounds", shaped)
    relu = ir.Node("", "Relu", [node.inputs[0]], num_outputs=1, name=f"{node.name}_relu")
    relu.outputs[0].name = f"{old.name}_unbounded"
    least = ir.Node("", "Min", [relu.outputs[0], bound], num_outputs=1, name=f"{node.name}_min")
    new = least.outputs[0]
    for output in (relu.outputs[0], new):
        output.type, output.shape = old.type, old.shape
    graph.insert_before(node, [relu, least])
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    old.name, new.name = f"{old.name}_replaced", old.name
    graph.remove(node, safe=True)
