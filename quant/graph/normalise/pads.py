"""Folding borders of zeros into the convolutions that read them."""

import numpy as np
import onnx_ir as ir

from quant.graph.constants import constant


def fold_pads(graph: ir.Graph) -> None:
    """Give the borders of a Pad to the Conv nodes behind it, where nobody else reads it and they are zeros of constant
    width along spatial axes.

    Requires: constants are initializers. The node that stays behind is unused.
    """
    for node in list(graph):
        if node.op_type != "Pad" or node.domain != "" or node.outputs[0].is_graph_output():
            continue
        borders = _borders(node)
        convs = [use.node for use in node.outputs[0].uses()]
        if borders is None or not convs or not all(_takes_borders(conv, node, borders.shape[1]) for conv in convs):
            continue
        for conv in convs:
            own = np.array(conv.attributes.get_ints("pads", [0] * borders.size)).reshape(2, -1)
            conv.attributes.add(ir.AttrInt64s("pads", (own + borders).reshape(-1).tolist()))
            conv.replace_input_with(0, node.inputs[0])


def has_borders(conv: ir.Node) -> bool:
    """Whether a convolution puts zeros around its input."""
    automatic = conv.attributes.get_string("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER")
    return automatic or any(conv.attributes.get_ints("pads", []))


def _borders(node: ir.Node) -> np.ndarray | None:
    """The widths (2, spatial axes) before and behind; None for anything but zeros of constant width there."""
    widths, filling, axes = (constant(value) for value in (*node.inputs[1:], None, None, None)[:3])
    unknown = any(value is not None and constant(value) is None for value in node.inputs[1:])
    if unknown or widths is None or axes is not None or node.attributes.get_string("mode", "constant") != "constant":
        return None
    borders = np.asarray(widths, np.int64).reshape(2, -1)
    spatial = borders[:, 2:]
    zeros = filling is None or not np.any(filling)
    return spatial if zeros and spatial.size and not borders[:, :2].any() and (spatial >= 0).all() else None


def _takes_borders(conv: ir.Node, pad: ir.Node, axes: int) -> bool:
    plain = conv.op_type == "Conv" and conv.domain == "" and conv.inputs[0] is pad.outputs[0]
    pads = conv.attributes.get_ints("pads", [0] * 2 * axes)
    return plain and len(pads) == 2 * axes and conv.attributes.get_string("auto_pad", "NOTSET") == "NOTSET"
