"""Constants that several graphs of a model read: stored once, in the main graph.

The main graph is an enclosing scope of every body, so that all bodies can read its initializers.
"""

from hashlib import sha256

import onnx_ir as ir

from quant.graph.names import Names
from quant.graph.operators import is_dequantize

MIN_BYTES = 256
"""The size of the smallest shared constant in bytes."""


def share_constants(model: ir.Model) -> None:
    """Store equal constants of the main graph and of bodies, or of several bodies, once, in place.

    Constants that are equal within the main graph stay as they are.
    """
    bodies = tuple(model.graph.subgraphs())
    if not bodies:
        return
    copies: dict[bytes, list[ir.Value]] = {}
    for graph in (model.graph, *bodies):
        for value in graph.initializers.values():
            key = _key(value)
            if key is not None and not (graph is not model.graph and _is_dequantized(value)):
                copies.setdefault(key, []).append(value)
    names = Names.of(model.graph)
    for first, *others in copies.values():
        in_bodies = [value for value in others if value.graph is not model.graph]
        if in_bodies and first.graph is not model.graph:
            _move_to(model.graph, first, names)
        for value in in_bodies:
            value.replace_all_uses_with(first)
            _remove(value)


def _key(value: ir.Value) -> bytes | None:
    """Return a digest of the constant's type, shape and values; None for a constant that is not shared."""
    tensor = value.const_value
    if tensor is None or value.is_graph_input() or value.is_graph_output() or tensor.dtype == ir.DataType.STRING:
        return None
    if tensor.nbytes < MIN_BYTES or isinstance(tensor, ir.ExternalTensor | ir.LazyTensor):
        return None
    return sha256(f"{tensor.dtype}{tensor.shape}".encode() + tensor.tobytes()).digest()


def _is_dequantized(value: ir.Value) -> bool:
    """Return True if a DequantizeLinear reads the constant.

    ONNX Runtime 1.31 looks for the codes of a MatMul in the graph of the node, and does not load a model in which they
    are in an enclosing one.
    """
    return any(is_dequantize(use.node) for use in value.uses())


def _move_to(graph: ir.Graph, value: ir.Value, names: Names) -> None:
    """Move an initializer to another graph, under a free name if that graph has an initializer of the same name."""
    _remove(value)
    if value.name in {other.name for other in graph.initializers.values()}:
        value.name = names.value(str(value.name))
    graph.register_initializer(value)


def _remove(value: ir.Value) -> None:
    """Remove an initializer from its graph."""
    assert value.graph is not None, "an initializer belongs to a graph"
    del value.graph.initializers[str(value.name)]
