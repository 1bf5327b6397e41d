"""Constant folding.

Rewrite rules:

1. Identity of a constant -> the constant.
2. Nodes whose inputs are all constant -> initializers with the values that ONNX Runtime computes
   (`quant.graph.normalise.evaluate`).

Expressions that share an intermediate value or a constant are folded together, unless the file would grow by it. Their
own inputs become unused, and a result that is the weight of a layer counts with the 8 bits in which it is stored. If
the file would grow, only results of at most `SMALL` bytes are folded: shapes, borders and sizes. An expression that is
computed several times, as in both branches of an If, is stored once.

A lookup in a table of floats is folded only on the way to a weight. Otherwise the table stays the weight of an
embedding, which is quantized.

Requires: constants are initializers.
Ensures: the same outputs; a weight that is computed from constants is an initializer unless the file would grow.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import onnx_ir as ir

from quant.graph.constants import add_initializer, constant_tensor
from quant.graph.names import Names
from quant.graph.normalise.evaluate import Results, evaluate_constants
from quant.graph.operators import operator_of

SMALL = 128
"""The size in bytes up to which a result is always folded, and by which a group of results may enlarge the file."""
WEIGHT_RATIO = 4
"""The ratio of the bytes of a float weight to those of its 8-bit codes."""


def fold_constants(model: ir.Model) -> None:
    """Replace constant expressions by their values in place, in bodies too."""
    _remove_identities(model, {})
    results = evaluate_constants(model)
    _remove_identities(model, results)
    for value in list(results):
        if _is_embedding(value) and not _leads_to_weights(value, results):
            _forget(value, results)
    copies = _copies(results)
    folded = {value for group in _groups(results) for value in _folded(group, results, copies)}
    in_order = [value for value in results if value in folded]
    _store(model.graph, in_order, results, copies)
    for node in {value.producer(): None for value in reversed(in_order)}:
        if node is not None and node.graph is not None:
            node.graph.remove(node, safe=True)


def _remove_identities(model: ir.Model, results: Results) -> None:
    """Let the readers of an Identity read its input, if that is a constant or a result."""
    for graph in (model.graph, *model.graph.subgraphs()):
        for node in list(graph):
            if node.op_type != "Identity" or node.domain != "" or node.outputs[0].is_graph_output():
                continue
            (source,) = node.inputs
            if source is not None and (source in results or constant_tensor(source) is not None):
                node.outputs[0].replace_all_uses_with(source)
                results.pop(node.outputs[0], None)
                graph.remove(node, safe=True)


def _is_embedding(value: ir.Value) -> bool:
    """Return True for rows that are looked up in a matrix of floats."""
    node = value.producer()
    if node is None or node.op_type != "Gather" or node.inputs[0] is None:
        return False
    table = constant_tensor(node.inputs[0])
    return table is not None and table.dtype.is_floating_point() and len(table.shape) == 2


def _leads_to_weights(value: ir.Value, results: Results) -> bool:
    """Return True if the value, or what is computed from it alone with constants, is read as a weight only."""
    uses = value.uses()
    return bool(uses) and all(
        _is_weight(node, index)
        or (node.outputs[0] in results and all(_leads_to_weights(output, results) for output in node.outputs))
        for node, index in uses
    )


def _is_weight(node: ir.Node, index: int) -> bool:
    """Return True if the operand is one that can hold the weight of a layer."""
    operator = operator_of(node)
    if operator is None:
        return node.op_type == "Einsum" and node.domain == ""
    alternatives = () if operator.alternative is None else (operator.alternative,)
    return any(operand.index == index for operand in (*operator.weights, *alternatives))


def _forget(value: ir.Value, results: Results) -> None:
    """Remove a value, and all values that are computed from it, from the results."""
    if results.pop(value, None) is not None:
        for node, _ in value.uses():
            for output in node.outputs:
                _forget(output, results)


def _groups(results: Results) -> Iterable[list[ir.Value]]:
    """Return the results in groups that share nodes, intermediate values, or constants of more than `SMALL` bytes."""
    parent: dict[ir.Node | ir.Value, ir.Node | ir.Value] = {}

    def root(item: ir.Node | ir.Value) -> ir.Node | ir.Value:
        while parent.setdefault(item, item) is not item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for value in results:
        node = value.producer()
        assert node is not None, "a result is computed by a node"
        for source in node.inputs:
            tensor = constant_tensor(source)
            if source in results or (tensor is not None and tensor.nbytes > SMALL):
                assert source is not None, "it has a tensor or a node"
                parent[root(source.producer() or source)] = root(node)
    groups: dict[ir.Node | ir.Value, list[ir.Value]] = {}
    for value in results:
        node = value.producer()
        assert node is not None, "a result is computed by a node"
        groups.setdefault(root(node), []).append(value)
    return groups.values()


def _copies(results: Results) -> dict[ir.Value, list[ir.Value]]:
    """Return for each result all results of the same operator with the same inputs, itself among them, in order."""
    first: dict[ir.Value, ir.Value] = {}
    by_expression: dict[tuple[object, ...], list[ir.Value]] = {}
    for value in results:
        node = value.producer()
        assert node is not None, "a result is computed by a node"
        inputs = tuple(_identity(source, first) for source in node.inputs)
        attributes = tuple(sorted(str(attribute) for attribute in node.attributes.values()))
        equal = by_expression.setdefault((node.op_type, attributes, inputs, value.index()), [])
        equal.append(value)
        first[value] = equal[0]
    return {value: equal for equal in by_expression.values() for value in equal}


def _identity(source: ir.Value | None, first: Mapping[ir.Value, ir.Value]) -> object:
    """Return what equal operands have in common: the values of a small constant, else the first of equal results."""
    tensor = constant_tensor(source)
    if source is None or source in first or tensor is None or tensor.nbytes > SMALL:
        return None if source is None else first.get(source, source)
    return tensor.dtype, tuple(tensor.shape.numpy()), tensor.tobytes()


def _folded(group: list[ir.Value], results: Results, copies: Mapping[ir.Value, list[ir.Value]]) -> list[ir.Value]:
    """Return the values of a group to fold: all of them, or the small ones if the file would grow."""
    nodes = {value.producer() for value in group}
    stored = {copies[value][0]: value for value in reversed(group)}.values()
    added = sum(_stored_bytes(copies[value], results, nodes) for value in stored)
    if added <= _freed_bytes(nodes) + SMALL:
        return group
    return [value for value in group if all(output.nbytes <= SMALL for output in _outputs(value, results))]


def _outputs(value: ir.Value, results: Results) -> Iterator[ir.TensorProtocol]:
    """Yield the results of the node that computes the value."""
    node = value.producer()
    assert node is not None, "a result is computed by a node"
    return (results[output] for output in node.outputs)


def _stored_bytes(equal: Sequence[ir.Value], results: Results, nodes: set[ir.Node | None]) -> float:
    """Return the bytes that equal values take in the file together once the nodes of their group are gone."""
    readers = [(node, index) for value in equal for node, index in value.uses() if node not in nodes]
    if not readers:
        return 0
    size = results[equal[0]].nbytes
    return size / WEIGHT_RATIO if all(_is_weight(node, index) for node, index in readers) else size


def _freed_bytes(nodes: set[ir.Node | None]) -> int:
    """Return the bytes of the constants that only these nodes read in float; a weight of a layer is stored as codes."""
    sources = {value: None for node in nodes if node is not None for value in node.inputs}
    size = 0
    for source in sources:
        tensor = constant_tensor(source)
        if source is None or tensor is None or source.is_graph_output():
            continue
        if all(node in nodes or _is_weight(node, index) for node, index in source.uses()):
            size += tensor.nbytes
    return size


def _store(
    graph: ir.Graph, folded: Sequence[ir.Value], results: Results, copies: Mapping[ir.Value, list[ir.Value]]
) -> None:
    """Let the readers of each value that is not only read by folded nodes read an initializer instead.

    The initializer of copies in several graphs is in the main graph, which all bodies can read.
    """
    names, known = Names.of(graph), set(folded)
    initializers: dict[ir.Value, ir.Value] = {}
    read = [value for value in folded if not all(reader.outputs[0] in known for reader, _ in value.uses())]
    for value in read:
        first = copies[value][0]
        if first not in initializers:
            homes = {_graph_of(copy) for copy in copies[value] if copy in known}
            home = homes.pop() if len(homes) == 1 else graph
            initializers[first] = add_initializer(home, f"{value.name}_constant", results[value], names)
        value.replace_all_uses_with(initializers[first])


def _graph_of(value: ir.Value) -> ir.Graph:
    """Return the graph in which a result is computed."""
    node = value.producer()
    assert node is not None, "a result is computed by a node"
    assert isinstance(node.graph, ir.Graph), "functions are inlined"
    return node.graph
