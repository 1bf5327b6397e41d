"""Where what a layer computes is read: as it is, or through an activation, perhaps as a sum with a shortcut."""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.graph.constants import constant
from quant.graph.inventory import Layer
from quant.graph.uses import only_use

SELDOM = 0.01
"""Channels that are active at a smaller share of their positions are corrected as if it were this."""


@dataclass(frozen=True)
class Site:
    """The activation that reads a layer: Relu, or a Clip from zero to `upper`, which is shaped as in the graph, and the
    name of what it `makes`.

    `total` is the name of the sum that it reads, where the layer's output is one operand of an Add and `other` the
    number of the other one.
    """

    makes: str
    upper: NDArray[np.generic] | None
    total: str | None = None
    other: int = 0


def site_of(layer: Layer) -> Site | None:
    """The only reader of the layer's output if it is such an activation, an Add to the output let in between."""
    output = layer.node.outputs[0]
    reader, index = only_use(output)
    total, other = None, 0
    if reader is not None and reader.op_type == "Add" and _keeps_channels(layer, reader.inputs[1 - index]):
        total, other = str(reader.outputs[0].name), 1 - index
        reader, _ = only_use(reader.outputs[0])
    if reader is None:
        return None
    if reader.op_type == "Relu":
        bound, _ = only_use(reader.outputs[0])  # by Min: what equalization leaves of a Clip
        if bound is not None and bound.op_type == "Min":
            return Site(str(bound.outputs[0].name), constant(bound.inputs[1]), total, other)
        return Site(str(reader.outputs[0].name), None, total, other)
    bounds = [constant(value) for value in reader.inputs[1:]] if reader.op_type == "Clip" else []
    if len(bounds) < 2 or bounds[0] is None or bounds[1] is None or bounds[0].any():
        return None
    return Site(str(reader.outputs[0].name), bounds[1], total, other)


def channel_axis(layer: Layer) -> int | None:
    """The axis of the layer's output that a bias lies along; None where there is no such axis."""
    if layer.op in ("Conv", "ConvTranspose"):
        return 1
    if layer.op not in ("Gemm", "MatMul"):
        return None
    return -1 if layer.weight_index == 1 and len(layer.shape) == 2 else None


def output_channels(layer: Layer) -> int:
    """How many channels the layer's output has along its channel axis."""
    groups = layer.node.attributes.get_int("group", 1) if layer.op == "ConvTranspose" else 1
    return int(layer.shape[layer.axis] * groups)


def _keeps_channels(layer: Layer, other: ir.Value | None) -> bool:
    """Whether the sum with another value has the channels of the layer's output along the same axis.

    One channel may be spread over many, and an axis be put before the others. Few shapes are known.
    """
    spatial = layer.op in ("Conv", "ConvTranspose")
    more = other is not None and other.shape is not None and len(other.shape) > len(layer.shape)
    return output_channels(layer) > 1 and not (spatial and more)
