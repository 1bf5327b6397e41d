"""Bias absorption (Nagel et al., 2019, section 4.1.3): smaller activations between pairs of convolutions.

See docs/methods.md, "Equalization".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.calibration.channel_moments import ChannelMoments
from quant.equalization.cross_layer import has_one_group_or_is_depthwise, is_depthwise
from quant.graph.biases import add_to_biases
from quant.graph.constants import add_initializer, constant
from quant.graph.inventory import Layer, inventory
from quant.graph.names import Names
from quant.graph.normalise.pads import has_borders
from quant.graph.operators import is_min, is_relu
from quant.graph.uses import only_reader

DEVIATIONS = 3.0
"""Standard deviations below its mean that a channel is assumed to stay above; 0.13 % of a normal channel do not."""


@dataclass(frozen=True)
class _Link:
    """A Conv whose output goes through a Relu, and perhaps through `minimum`, into one Conv without padding."""

    first: Layer
    minimum: ir.Node | None
    second: Layer


def absorb_biases(model: ir.Model, moments: Mapping[str, ChannelMoments]) -> dict[str, ChannelMoments]:
    """Move c = max(0, mean - 3 deviations) from each first layer's bias into the second layer's bias, in place.

    The first layer's bias is lowered by c, and W c is added to the bias of the second one, since
    Relu(x) - c = Relu(x - c) for all x above c (Nagel et al., 2019, section 4.1.3). A second layer with padding is left
    alone: its zeros are not shifted by c.

    Args:
        model: a float model in normal form.
        moments: the mean and variance of the channels (C,) of layers' outputs, by the tensor's name.

    Returns:
        The moments of the rewritten model's tensors.
    """
    moments = dict(moments)
    for link in list(_links(model)):
        name = str(link.first.node.outputs[0].name)
        if name not in moments:
            continue
        floor = np.maximum(moments[name].mean - DEVIATIONS * np.sqrt(moments[name].variance), 0.0)
        if link.minimum is not None and not _lower(link.minimum, floor, len(link.first.kernel)):
            continue
        add_to_biases([link.first], {link.first.name: -floor})
        add_to_biases([link.second], {link.second.name: _output_shift(link.second, floor)})
        moments[name] = ChannelMoments(moments[name].mean - floor, moments[name].variance)
    return moments


def _links(model: ir.Model) -> Iterator[_Link]:
    """Yield the pairs of layers that a bias can be moved between."""
    layers = [layer for layer in inventory(model)[0] if layer.operator.convolution and layer.graph is model.graph]
    by_node = {layer.node: layer for layer in layers}
    for first in layers:
        relu = only_reader(first.node.outputs[0])
        if relu is None or not is_relu(relu) or constant(first.bias) is None:
            continue
        reader, minimum = only_reader(relu.outputs[0]), None
        if reader is not None and is_min(reader) and len(reader.inputs) == 2:
            reader, minimum = only_reader(reader.outputs[0]), reader
        second = by_node.get(reader) if reader is not None else None
        if second is not None and has_one_group_or_is_depthwise(second) and not has_borders(second.node):
            yield _Link(first, minimum, second)


def _lower(minimum: ir.Node, floor: NDArray[np.float64], axes: int) -> bool:
    """Lower the constant bounds of a Min over maps with `axes` spatial axes by `floor` (C,).

    Return False, and leave the node, if the bounds are not constants with one value, or one per channel.
    """
    upper, graph = constant(minimum.inputs[1]), minimum.graph
    if upper is None or upper.size not in (1, floor.size) or not isinstance(graph, ir.Graph):
        return False
    bounds = (upper.astype(np.float64).reshape(-1) - floor).astype(np.float32).reshape(-1, *[1] * axes)
    minimum.replace_input_with(1, add_initializer(graph, f"{minimum.name}_lowered", bounds, Names.of(graph)))
    return True


def _output_shift(layer: Layer, floor: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what an input with the constant channels `floor` (C,) adds to each output channel."""
    taps = layer.weight.astype(np.float64).sum(axis=tuple(range(2, len(layer.shape))))
    shift: NDArray[np.float64] = taps[:, 0] * floor if is_depthwise(layer) else taps @ floor
    return shift
