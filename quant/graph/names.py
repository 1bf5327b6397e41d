"""Names: free names for the values and nodes that a rewrite adds to a model.

ONNX allows any text as a name, so an uploaded model may already use the name that a rewrite would choose. Every new
name comes from `Names`, which knows the names of all graphs of a model: a name in a body must not hide one outside.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Self

import onnx
import onnx_ir as ir

MAX_NAME = 48
"""The greatest length of a shortened name; some exporters join names to hundreds of characters."""


def shortened(name: str) -> str:
    """Return the name, or the beginning and a digest of a name longer than `MAX_NAME`."""
    if len(name) <= MAX_NAME:
        return name
    return f"{name[: MAX_NAME - 13]}_{hashlib.sha256(name.encode()).hexdigest()[:12]}"


class Names:
    """The names in use in a model; values (with initializers) and nodes have separate names.

    The same calls on the same model give the same names.
    """

    def __init__(self, values: Iterable[str | None] = (), nodes: Iterable[str | None] = ()) -> None:
        self._values = {name for name in values if name}
        self._nodes = {name for name in nodes if name}

    @classmethod
    def of(cls, *mains: ir.Graph) -> Self:
        """Return the names in the main graphs of models and in all bodies of their If, Loop and Scan nodes."""
        graphs = [graph for main in mains for graph in (main, *main.subgraphs())]
        return cls((value.name for graph in graphs for value in _values(graph)), _node_names(graphs))

    @classmethod
    def of_proto(cls, *graphs: onnx.GraphProto) -> Self:
        """Return the names in these graphs and in the bodies of their nodes."""
        names = cls()
        for graph in graphs:
            names.add_proto(graph)
        return names

    def add_proto(self, graph: onnx.GraphProto) -> None:
        """Add the names in a graph and in the bodies of its nodes."""
        tensors = (*graph.input, *graph.output, *graph.initializer)
        self._values |= {tensor.name for tensor in tensors} | {t.values.name for t in graph.sparse_initializer}
        for node in graph.node:
            self._nodes.add(node.name)
            self._values.update(node.output)
            for attribute in node.attribute:
                for body in (attribute.g, *attribute.graphs):
                    self.add_proto(body)

    def __contains__(self, name: str) -> bool:
        """Return True if a value or an initializer has the name."""
        return name in self._values

    def any_starts_with(self, prefix: str) -> bool:
        """Return True if the name of a value or node starts with the prefix."""
        return any(name.startswith(prefix) for name in (*self._values, *self._nodes))

    def value(self, base: str) -> str:
        """Return a free name for a value or an initializer: `base`, with a number appended if it is taken."""
        return _free(base, self._values)

    def node(self, base: str) -> str:
        """Return a free name for a node: `base`, with a number appended if it is taken."""
        return _free(base, self._nodes)


def _free(base: str, taken: set[str]) -> str:
    """Return `base`, with a number appended if it is taken, and mark the name as taken."""
    name, number = base, 1
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    taken.add(name)
    return name


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    """Yield the inputs, the initializers and the outputs of all nodes of one graph."""
    yield from graph.inputs
    yield from graph.initializers.values()
    for node in graph:
        yield from node.outputs


def _node_names(graphs: Iterable[ir.Graph]) -> Iterator[str | None]:
    return (node.name for graph in graphs for node in graph)
