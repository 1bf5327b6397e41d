"""Simplification of Clip.

Rewrite rules:

1. A constant bound of one element and any rank -> the same as a scalar. ONNX allows a scalar only. ONNX Runtime also
   accepts the shape (1,), but does not fuse such a Clip into integer kernels.
2. Clip without any bound -> nothing, unless it makes an output of the graph.

Requires: constants are initializers.
Ensures: the same outputs; a constant bound of a Clip is a scalar.
"""

import onnx_ir as ir

from quant.graph.constants import add_initializer, constant
from quant.graph.names import Names


def simplify_clip(model: ir.Model) -> None:
    """Apply the rules above to every Clip of the model, in place."""
    names = Names.of(model.graph)
    for graph in (model.graph, *model.graph.subgraphs()):
        for node in list(graph):
            if node.op_type != "Clip" or node.domain != "":
                continue
            source, output = node.inputs[0], node.outputs[0]
            if source is not None and not any(node.inputs[1:]) and not output.is_graph_output():
                output.replace_all_uses_with(source)
                graph.remove(node, safe=True)
            else:
                _make_bounds_scalar(graph, node, names)


def _make_bounds_scalar(graph: ir.Graph, clip: ir.Node, names: Names) -> None:
    """Replace each constant bound of one element by a scalar, in place."""
    for operand, bound in enumerate(clip.inputs[1:], start=1):
        array = constant(bound)
        if bound is not None and array is not None and array.ndim > 0 and array.size == 1:
            scalar = add_initializer(graph, f"{bound.name}_scalar", array.reshape(()), names)
            clip.replace_input_with(operand, scalar)
