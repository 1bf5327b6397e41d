"""Removal of unused nodes and initializers.

Rewrite rules:

1. A node whose outputs nobody reads -> nothing.
2. An initializer that nobody reads -> nothing.
3. Nodes in any order -> nodes in topological order.

Ensures: every initializer is read or is a graph output, and a node follows those that it reads from.
"""

import onnx_ir as ir
from onnx_ir.passes import common as passes


def remove_unused(model: ir.Model) -> None:
    """Remove unused nodes and initializers in place, and sort the nodes that remain."""
    passes.RemoveUnusedNodesPass()(model)
    for body in model.graph.subgraphs():  # onnx-ir's pass removes initializers from the main graph only
        _remove_unused_initializers(body)
    passes.TopologicalSortPass()(model)


def _remove_unused_initializers(body: ir.Graph) -> None:
    for name, value in list(body.initializers.items()):
        if not value.uses() and not value.is_graph_output():
            del body.initializers[name]
