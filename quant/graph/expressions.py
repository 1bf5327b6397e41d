"""Constant expressions: values that are the same whatever the model's inputs are."""

import onnx_ir as ir

from quant.graph.constants import constant_tensor
from quant.graph.operators import is_random


def is_constant_expression(value: ir.Value) -> bool:
    """Return True for a constant, and if nodes without random numbers or bodies compute the value from constants."""
    pending, seen = [value], set[ir.Value]()
    while pending:
        current = pending.pop()
        if current in seen or constant_tensor(current) is not None:
            continue
        seen.add(current)
        node = current.producer()
        if node is None or not node.inputs or is_random(node) or _has_body(node):
            return False
        pending += [source for source in node.inputs if source is not None]
    return True


def _has_body(node: ir.Node) -> bool:
    bodies = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
    return any(attribute.type in bodies for attribute in node.attributes.values())
