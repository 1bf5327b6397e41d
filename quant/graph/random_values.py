"""Tensors that depend on random numbers, such as the noise that a generator adds to its input.

They differ from run to run, so their values in the float and in the quantized model cannot be compared.
"""

from collections.abc import Iterator

import onnx_ir as ir

from quant.graph.operators import draws_random_numbers, reads_shape_only


def random_tensors(graph: ir.Graph) -> frozenset[str]:
    """Return the names of the tensors of a graph whose values depend on random numbers."""
    names: set[str] = set()
    for node in graph:
        nodes = [node, *_nodes_of_bodies(node)]
        reads = {value.name for part in nodes for value in part.inputs if value is not None}
        if any(map(draws_random_numbers, nodes)) or (not reads_shape_only(node) and not names.isdisjoint(reads)):
            names.update(str(value.name) for value in node.outputs)
    return frozenset(names)


def _nodes_of_bodies(node: ir.Node) -> Iterator[ir.Node]:
    """Yield the nodes of the bodies of a node, and of the bodies in them."""
    for attribute in node.attributes.values():
        if attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
            bodies = [attribute.value] if attribute.type == ir.AttributeType.GRAPH else attribute.value
            for body in bodies:
                yield from ir.traversal.RecursiveGraphIterator(body)
