"""Naming of nodes.

Rewrite rules:

1. A node without a name -> a node named after its operator and position.
2. A node whose name is taken -> a node with a number appended to its name.
3. A long name of a value that is no graph output -> its beginning and a digest.

Ensures: every node has a unique name, nodes in bodies included.
"""

import onnx_ir as ir

from quant.graph.names import MAX_NAME, Names, shortened


def name_nodes(model: ir.Model) -> None:
    """Give every node a unique name, and shorten the names of intermediate values, in place."""
    names, used = Names.of(model.graph), set[str]()
    for index, node in enumerate(ir.traversal.RecursiveGraphIterator(model.graph)):
        if not node.name or node.name in used:
            node.name = names.node(node.name or f"{node.op_type}_{index}")
        used.add(node.name)
        for value in node.outputs:
            if value.name and len(value.name) > MAX_NAME and not value.is_graph_output():
                value.name = names.value(shortened(value.name))
