"""Making an exported model's file smaller without touching a weight: short names, and equal constants once."""

from collections.abc import Container, Iterator
from itertools import product
from string import ascii_lowercase, digits

import onnx_ir as ir
from onnx_ir.passes import common as passes

SHARED = 4096
"""Constants of at most so many values are looked through for equal ones: zero points above all."""


def compact(model: ir.Model, layers: Container[str]) -> None:
    """Rename what flows inside the model's graph, drop the names of nodes, share equal constants; in place.

    The model's inputs and outputs and the nodes named in `layers` keep their names, and so do the bodies of If, Loop
    and Scan.
    """
    passes.DeduplicateInitializersPass(size_limit=SHARED)(model)
    graph = model.graph
    fixed = [*graph.inputs, *graph.outputs, *(value for body in model.graph.subgraphs() for value in _values(body))]
    taken = {str(value.name) for value in fixed}
    names = (name for name in _short_names() if name not in taken)
    kept = set(fixed)
    for value in list(_values(graph)):
        if value not in kept and value.name:
            value.name = next(names)
    for node in graph:
        if node.name not in layers:
            node.name = None


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.inputs
    yield from graph.initializers.values()
    for node in graph:
        yield from node.outputs


def _short_names() -> Iterator[str]:
    """a, b, ... z, aa, ab, ..., a0, ...: letters first, as some readers make identifiers of them."""
    yield from ascii_lowercase
    length = 1
    while True:
        for first in ascii_lowercase:
            yield from (first + "".join(rest) for rest in product(ascii_lowercase + digits, repeat=length))
        length += 1
