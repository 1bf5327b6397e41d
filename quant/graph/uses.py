"""Who reads a value."""

import onnx_ir as ir


def only_use(value: ir.Value) -> tuple[ir.Node | None, int]:
    """The only reader of a value, with the number of the operand that it is; None where there are others, or the
    value is an output of the graph."""
    uses = tuple(value.uses())
    return (uses[0].node, uses[0].idx) if len(uses) == 1 and not value.is_graph_output() else (None, 0)


def only_reader(value: ir.Value) -> ir.Node | None:
    """The only reader of a value, where it is that one's first operand."""
    node, index = only_use(value)
    return node if index == 0 else None
