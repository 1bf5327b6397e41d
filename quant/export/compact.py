"""Smaller files for exported models without any change to a weight: short names, and equal constants stored once."""

from collections.abc import Container, Iterator
from itertools import product
from string import ascii_lowercase, digits

import onnx_ir as ir
from onnx_ir.passes import common as passes

MAX_SHARED_SIZE = 4096
"""Equal constants of at most so many values are stored once; most of them are zero points."""


def compact(model: ir.Model, layers: Container[str]) -> None:
    """Shorten the names of tensors, remove the names of nodes and share equal constants, in place.

    Names that stay are those of the model's inputs and outputs, of the nodes in `layers`, and of everything in the
    bodies of If, Loop and Scan.
    """
    passes.DeduplicateInitializersPass(size_limit=MAX_SHARED_SIZE)(model)
    graph = model.graph
    fixed = {*graph.inputs, *graph.outputs, *(value for body in model.graph.subgraphs() for value in _values(body))}
    taken = {str(value.name) for value in fixed}
    names = (name for name in _short_names() if name not in taken)
    for value in list(_values(graph)):
        if value not in fixed and value.name:
            value.name = next(names)
    for node in graph:
        if node.name not in layers:
            node.name = None


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    """Yield the inputs, the initializers and the outputs of all nodes of a graph."""
    yield from graph.inputs
    yield from graph.initializers.values()
    for node in graph:
        yield from node.outputs


def _short_names() -> Iterator[str]:
    """Yield a, b, ..., z, aa, ab, ..., a0, ...: letters first, because some readers turn names into identifiers."""
    yield from ascii_lowercase
    length = 1
    while True:
        for first in ascii_lowercase:
            yield from (first + "".join(rest) for rest in product(ascii_lowercase + digits, repeat=length))
        length += 1
