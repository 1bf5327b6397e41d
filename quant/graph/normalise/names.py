"""Naming of nodes.

Rewrite rules:

1. A node without a name -> a node named after its operator and position.
2. A node whose name is taken -> a node with a number behind its name.
3. A long name of a value that is no graph output -> its beginning and a digest.

Ensures: every node has a unique name, nodes in bodies included.
"""

import onnx_ir as ir

from quant.graph.constants import shortened


def name_nodes(model: ir.Model) -> None:
    """Give every node a unique name, and shorten the names of intermediate values, in place."""
    taken: set[str] = set()
    for index, node in enumerate(ir.traversal.RecursiveGraphIterator(model.graph)):
        node.name = _unique(node.name or f"{node.op_type}_{index}", taken)
        taken.add(node.name)
        for value in node.outputs:
            if value.name and not value.is_graph_output():
                value.name = shortened(value.name)


def _unique(base: str, taken: set[str]) -> str:
    name, number = base, 1
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    return name
