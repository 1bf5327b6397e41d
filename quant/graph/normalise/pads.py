"""Folding of zero borders into convolutions.

Rewrite rule:

1. Pad, then one or more Conv -> the Conv nodes with wider `pads`, if nobody else reads the Pad, its borders are zeros
   of constant width, and they lie on spatial axes only.

Requires: constants are initializers.
Ensures: the same outputs; the Pad is unused.
"""

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.graph.constants import constant


def fold_pads(model: ir.Model) -> None:
    """Fold the zero borders of Pad nodes into the Conv nodes that read them, in place."""
    for graph in (model.graph, *model.graph.subgraphs()):
        for node in list(graph):
            if node.op_type == "Pad" and node.domain == "" and not node.outputs[0].is_graph_output():
                _fold(node)


def has_borders(conv: ir.Node) -> bool:
    """Return True if a convolution pads its input with zeros."""
    automatic = conv.attributes.get_string("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER")
    return automatic or any(conv.attributes.get_ints("pads", []))


def _fold(pad: ir.Node) -> None:
    borders = _borders(pad)
    convs = [use.node for use in pad.outputs[0].uses()]
    if borders is None or not convs or not all(_accepts_borders(conv, pad, borders.shape[1]) for conv in convs):
        return
    for conv in convs:
        previous = np.array(conv.attributes.get_ints("pads", [0] * borders.size)).reshape(2, -1)
        conv.attributes.add(ir.AttrInt64s("pads", (previous + borders).reshape(-1).tolist()))
        conv.replace_input_with(0, pad.inputs[0])


def _borders(pad: ir.Node) -> NDArray[np.int64] | None:
    """Return the widths (2, spatial axes) at the start and the end of each axis.

    Return None unless the borders are zeros, of constant width, and on spatial axes only.
    """
    widths, filling, axes = (constant(value) for value in (*pad.inputs[1:], None, None, None)[:3])
    unknown = any(value is not None and constant(value) is None for value in pad.inputs[1:])
    if unknown or widths is None or axes is not None or pad.attributes.get_string("mode", "constant") != "constant":
        return None
    borders = np.asarray(widths, np.int64).reshape(2, -1)
    spatial = borders[:, 2:]
    zeros = filling is None or not np.any(filling)
    return spatial if zeros and spatial.size and not borders[:, :2].any() and (spatial >= 0).all() else None


def _accepts_borders(conv: ir.Node, pad: ir.Node, spatial_axes: int) -> bool:
    """Return True if the node is a Conv with explicit pads whose data input is the Pad's output."""
    reads_pad = conv.op_type == "Conv" and conv.domain == "" and conv.inputs[0] is pad.outputs[0]
    pads = conv.attributes.get_ints("pads", [0] * 2 * spatial_axes)
    return reads_pad and len(pads) == 2 * spatial_axes and conv.attributes.get_string("auto_pad", "NOTSET") == "NOTSET"
