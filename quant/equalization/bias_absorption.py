"""Moving what a channel hardly ever falls below from one layer's bias into the next one's: smaller activations."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.calibration.batchnorm_moments import Normal
from quant.equalization.cross_layer import is_depthwise, mixes_all_or_none
from quant.graph.biases import add_to_biases
from quant.graph.constants import add_initializer, constant
from quant.graph.inventory import Layer, inventory
from quant.graph.operators import is_min, is_relu
from quant.graph.normalise.pads import has_borders
from quant.graph.uses import only_reader

DEVIATIONS = 3.0
"""Of the values of a normal channel 0.13 % lie more than so many standard deviations below its mean."""


@dataclass(frozen=True)
class _Link:
    """A Conv whose output goes through a Relu, and perhaps a Min with `upper`, into a Conv without borders alone."""

    first: Layer
    upper: ir.Node | None
    second: Layer


def absorb_biases(model: ir.Model, promises: Mapping[str, Normal]) -> dict[str, Normal]:
    """Take c = max(0, mean - 3 deviations) from every such first layer's channels in place, and give W c to the second
    one's bias (Nagel et al., 2019, section 4.1.3): Relu(x) - c = Relu(x - c) for all x above c.

    `promises` are what is known of the layers' outputs (C,) by their names. A Conv with borders is left alone: its
    zeros lie behind the activation, and would become c.

    Returns:
        The promises of the model as it is now.
    """
    known = dict(promises)
    for link in list(_links(model)):
        name = str(link.first.node.outputs[0].name)
        if name not in known:
            continue
        floor = np.maximum(known[name].mean - DEVIATIONS * np.sqrt(known[name].variance), 0.0)
        if link.upper is not None and not _lower(link.upper, floor, len(link.first.shape) - 2):
            continue
        add_to_biases([link.first], {link.first.name: -floor})
        add_to_biases([link.second], {link.second.name: _passed_on(link.second, floor)})
        known[name] = Normal(known[name].mean - floor, known[name].variance)
    return known


def _links(model: ir.Model) -> Iterator[_Link]:
    layers = [layer for layer in inventory(model)[0] if layer.operator.convolution and layer.graph is model.graph]
    by_node = {layer.node: layer for layer in layers}
    for first in layers:
        relu = only_reader(first.node.outputs[0])
        if relu is None or not is_relu(relu) or constant(first.bias) is None:
            continue
        reader, upper = only_reader(relu.outputs[0]), None
        if reader is not None and is_min(reader) and len(reader.inputs) == 2:
            reader, upper = only_reader(reader.outputs[0]), reader
        second = by_node.get(reader) if reader is not None else None
        if second is not None and mixes_all_or_none(second) and not has_borders(second.node):
            yield _Link(first, upper, second)


def _lower(least: ir.Node, floor: NDArray[np.float64], axes: int) -> bool:
    """Lower the bounds of a Min of so many spatial axes by as much; whether they are constants, one for all channels
    or one for each."""
    upper, graph = constant(least.inputs[1]), least.graph
    if upper is None or upper.size not in (1, floor.size) or not isinstance(graph, ir.Graph):
        return False
    bounds = (upper.astype(np.float64).reshape(-1) - floor).astype(np.float32).reshape(-1, *[1] * axes)
    least.replace_input_with(1, add_initializer(graph, f"{least.name}_lowered", bounds))
    return True


def _passed_on(layer: Layer, floor: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a constant input (C,) adds to each output channel."""
    taps = layer.weight.astype(np.float64).sum(axis=tuple(range(2, len(layer.shape))))
    passed: NDArray[np.float64] = taps[:, 0] * floor if is_depthwise(layer) else taps @ floor
    return passed
