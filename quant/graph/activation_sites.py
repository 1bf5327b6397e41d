"""Activation sites: where a layer's output is clipped at zero, perhaps as one operand of a sum with a shortcut."""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.graph.constants import constant
from quant.graph.inventory import Layer
from quant.graph.operators import is_add, is_clip, is_min, is_relu
from quant.graph.uses import only_use

MIN_ACTIVE_SHARE = 0.01
"""A channel that is active at a smaller share of its positions is corrected as if it were active at this share."""


@dataclass(frozen=True)
class ActivationSite:
    """A Relu, or a Clip from zero to a constant, that is the only reader of a layer's output or of a sum with it.

    Attributes:
        output: the name of the activation's output.
        upper: the activation's upper bound, shaped as in the graph; None for a Relu.
        total: the name of the sum that the activation reads; None if it reads the layer's output itself.
        other: the number of the sum's operand that is not the layer's output.
    """

    output: str
    upper: NDArray[np.generic] | None
    total: str | None = None
    other: int = 0


def compared_tensors(layer: Layer) -> list[str]:
    """Return the names of the tensors at which a layer's output is compared: its own output and its activation's."""
    site = site_of(layer)
    return [str(layer.node.outputs[0].name), *([] if site is None else [site.output])]


def site_of(layer: Layer) -> ActivationSite | None:
    """Return the activation that alone reads the layer's output, or None if there is none."""
    reader, index = only_use(layer.node.outputs[0])
    total, other = None, 0
    if reader is not None and is_add(reader) and _keeps_channels(layer, reader.inputs[1 - index]):
        total, other = str(reader.outputs[0].name), 1 - index
        reader, _ = only_use(reader.outputs[0])
    activation = None if reader is None else _output_and_bound(reader)
    return None if activation is None else ActivationSite(*activation, total, other)


def _output_and_bound(node: ir.Node) -> tuple[str, NDArray[np.generic] | None] | None:
    """Return an activation's output name and upper bound, or None for a node that does not clip at zero."""
    if is_relu(node):
        least, _ = only_use(node.outputs[0])
        if least is not None and is_min(least):  # equalization writes a Clip as Min(Relu(x), bound)
            return str(least.outputs[0].name), constant(least.inputs[1])
        return str(node.outputs[0].name), None
    bounds = [constant(value) for value in node.inputs[1:]] if is_clip(node) else []
    if len(bounds) < 2 or bounds[0] is None or bounds[1] is None or bounds[0].any():
        return None
    return str(node.outputs[0].name), bounds[1]


def _keeps_channels(layer: Layer, other: ir.Value | None) -> bool:
    """Return True if the sum with `other` has the channels of the layer's output along the same axis.

    A single channel could be broadcast to several, and an operand of higher rank adds axes before the others. Where the
    graph does not declare the rank of `other`, it is taken to be the layer's.
    """
    higher_rank = other is not None and other.shape is not None and len(other.shape) > len(layer.shape)
    return layer.output_channels > 1 and not (layer.operator.spatial and higher_rank)
