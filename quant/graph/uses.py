"""Uses: the nodes that read a value."""

import onnx_ir as ir


def only_use(value: ir.Value) -> tuple[ir.Node | None, int]:
    """Return the only reader of a value and the number of the operand that the value is.

    The reader is None if there are several or none, or if the value is an output of the graph.
    """
    uses = tuple(value.uses())
    return (uses[0].node, uses[0].idx) if len(uses) == 1 and not value.is_graph_output() else (None, 0)


def only_reader(value: ir.Value) -> ir.Node | None:
    """Return the only reader of a value if the value is its first operand, or None."""
    node, index = only_use(value)
    return node if index == 0 else None
