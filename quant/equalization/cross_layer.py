"""Cross-layer equalization (Nagel et al., 2019, section 4.1): even channel ranges in pairs of convolutions.

See docs/methods.md, "Equalization".
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.graph.constants import add_initializer, constant
from quant.graph.inventory import Layer, inventory
from quant.graph.matrix_form import group_count
from quant.graph.names import Names
from quant.graph.operators import is_clip, is_relu
from quant.graph.uses import only_reader

MAX_ROUNDS = 20
TOLERANCE = 1e-3
"""The rounds end when no factor changes by more than this, as a logarithm."""
LIMIT = 64.0
"""Factors stay between 1 / LIMIT and LIMIT; a channel that would need more carries almost no signal."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LayerPair:
    """A Conv whose output goes into one other Conv only, directly or through `activation`."""

    first: Layer
    activation: ir.Node | None
    second: Layer

    @property
    def layers(self) -> tuple[Layer, Layer]:
        """Both layers."""
        return self.first, self.second


def equalize(model: ir.Model) -> dict[str, Array]:
    """Rescale the channels between every pair of convolutions in place, without changing the model's outputs.

    Channel i of the first layer is divided by s_i = sqrt(r1_i / r2_i), and the second layer's weights for it are
    multiplied by s_i, where r1 and r2 are the largest |w| of the channel in the first and the second layer. This is
    repeated until no factor changes (Nagel et al., 2019, section 4.1). Between the layers there may be nothing, a Relu,
    or a Clip from zero to an upper bound. Such a Clip becomes Min(Relu(x), bound / s), with one bound per channel.

    Returns:
        The factor 1 / s (C,) of each first layer's output, by the name of that tensor.
    """
    pairs = list(_pairs(model))
    layers = {layer.name: layer for pair in pairs for layer in pair.layers}
    weights = {name: layer.weight.astype(np.float64) for name, layer in layers.items()}
    factors = {pair.first.name: np.ones(pair.first.shape[0]) for pair in pairs}
    for _ in range(MAX_ROUNDS):
        if max((_equalize_pair(pair, weights, factors) for pair in pairs), default=0.0) < TOLERANCE:
            break
    names = Names.of(model.graph)
    for pair in pairs:
        _scale_bias(pair.first, factors[pair.first.name], names)
        _scale_clip(pair, factors[pair.first.name], names)
    for name, layer in layers.items():
        weight = weights[name].astype(np.float32)
        value = add_initializer(layer.graph, f"{layer.weight_name}_equalized", weight, names)
        layer.node.replace_input_with(layer.weight_index, value)
    return {str(pair.first.node.outputs[0].name): factors[pair.first.name] for pair in pairs}


def is_depthwise(layer: Layer) -> bool:
    """Return True if each output channel of a Conv reads one input channel, a different one each."""
    groups = group_count(layer.node)
    return groups > 1 and layer.shape[1] == 1 and layer.shape[0] == groups


def has_one_group_or_is_depthwise(layer: Layer) -> bool:
    """Return True if each output channel of a Conv reads all input channels, or one of its own."""
    return group_count(layer.node) == 1 or is_depthwise(layer)


def _pairs(model: ir.Model) -> Iterator[LayerPair]:
    """Yield the pairs of Conv layers that can be rescaled; a weight that several layers share cannot."""
    layers, _ = inventory(model)
    convolutions = {layer.node: layer for layer in layers if layer.operator.convolution and layer.graph is model.graph}
    uses = Counter(layer.weight_name for layer in layers)
    for first in convolutions.values():
        reader = only_reader(first.node.outputs[0])
        activation = None
        if reader is not None and reader not in convolutions and _passes_factors(reader):
            activation, reader = reader, only_reader(reader.outputs[0])
        second = convolutions.get(reader) if reader is not None else None
        if second is None or (first.bias is not None and constant(first.bias) is None):
            continue
        if has_one_group_or_is_depthwise(second) and uses[first.weight_name] == uses[second.weight_name] == 1:
            yield LayerPair(first, activation, second)


def _passes_factors(node: ir.Node) -> bool:
    """Return True if positive factors of channels can be moved across the node."""
    if is_relu(node):
        return True
    if not is_clip(node):
        return False
    bounds = [constant(value) for value in node.inputs[1:]]
    return len(bounds) == 2 and bounds[0] is not None and bounds[1] is not None and float(bounds[0]) == 0


def _equalize_pair(pair: LayerPair, weights: dict[str, Array], factors: dict[str, Array]) -> float:
    """Rescale one pair in `weights` and `factors`; return the largest |log s| of a channel."""
    first, second = pair.first.name, pair.second.name
    step = _step(weights[first], weights[second], is_depthwise(pair.second))
    step = np.clip(step, factors[first] / LIMIT, factors[first] * LIMIT)
    factors[first] = factors[first] / step
    weights[first] = weights[first] / _as_outputs(step, pair.first)
    weights[second] = weights[second] * _as_inputs(step, pair.second)
    return float(np.abs(np.log(step)).max())


def _step(first: Array, second: Array, depthwise: bool) -> Array:
    """Return s (C,); it is 1 for a channel that is zero in either layer."""
    ranges = np.abs(first).reshape(len(first), -1).max(axis=1)
    by_input = second if depthwise else second.swapaxes(0, 1)
    other = np.abs(by_input).reshape(len(by_input), -1).max(axis=1)
    used = (ranges > 0) & (other > 0)
    return np.where(used, np.sqrt(np.where(used, ranges, 1) / np.where(used, other, 1)), 1.0)


def _as_outputs(step: Array, layer: Layer) -> Array:
    """Return s in a shape that broadcasts along the weight's axis of output channels."""
    return step.reshape(-1, *[1] * (len(layer.shape) - 1))


def _as_inputs(step: Array, layer: Layer) -> Array:
    """Return s in a shape that broadcasts along the weight's axis of input channels."""
    spatial = [1] * len(layer.kernel)
    return step.reshape(-1, 1, *spatial) if is_depthwise(layer) else step.reshape(1, -1, *spatial)


def _scale_bias(layer: Layer, factor: Array, names: Names) -> None:
    """Multiply the layer's bias by the factor of each channel."""
    bias, index = constant(layer.bias), layer.operator.bias_index
    if bias is not None and index is not None:
        scaled = (bias.astype(np.float64) * factor).astype(np.float32)
        value = add_initializer(layer.graph, f"{layer.name}_equalized_bias", scaled, names)
        layer.node.replace_input_with(index, value)


def _scale_clip(pair: LayerPair, factor: Array, names: Names) -> None:
    """Replace a Clip from 0 to b between the layers by Min(Relu(x), factor * b)."""
    node = pair.activation
    if node is None or not is_clip(node):
        return
    graph, old = pair.first.graph, node.outputs[0]
    upper = constant(node.inputs[2])
    assert upper is not None, "a pair's Clip has constant bounds"
    bounds = (float(upper) * factor).astype(np.float32).reshape(-1, *[1] * len(pair.first.kernel))
    bound = add_initializer(graph, f"{old.name}_bounds", bounds, names)
    relu = ir.Node("", "Relu", [node.inputs[0]], num_outputs=1, name=names.node(f"{node.name}_relu"))
    relu.outputs[0].name = names.value(f"{old.name}_unbounded")
    minimum = ir.Node("", "Min", [relu.outputs[0], bound], num_outputs=1, name=names.node(f"{node.name}_min"))
    new = minimum.outputs[0]
    for output in (relu.outputs[0], new):
        output.type, output.shape = old.type, old.shape
    graph.insert_before(node, [relu, minimum])
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    old.name, new.name = names.value(f"{old.name}_replaced"), old.name
    graph.remove(node, safe=True)
