"""Suffixes of a model: its nodes from one on, which read what the earlier nodes computed.

A change of one layer leaves the tensors before it as they are, so that only the nodes after it have to run.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import helper

from quant.runtime import Feeds


@dataclass(frozen=True)
class Cut:
    """The cut of a graph before one of its nodes.

    Attributes:
        start: the number of the first node behind the cut.
        boundary: the names of the tensors that nodes before the cut make and nodes behind it read.
    """

    start: int
    boundary: tuple[str, ...]


def cut_before(graph: onnx.GraphProto, start: int) -> Cut:
    """Return the cut before the node with this number."""
    read = {name for node in graph.node[start:] for name in _names_read(node)}
    computed = (name for node in graph.node[:start] for name in node.output)
    return Cut(start, tuple(name for name in computed if name in read))


def keep_suffix(model: onnx.ModelProto, cut: Cut, values: Feeds) -> None:
    """Remove the nodes before a cut, in place; the tensors of its boundary become inputs.

    Outputs that nodes before the cut make are no outputs any more.

    Args:
        model: the model.
        cut: the cut.
        values: the tensors of the boundary on any batch, for their types.
    """
    graph = model.graph
    nodes = list(graph.node)[cut.start :]
    read = {name for node in nodes for name in _names_read(node)}
    computed = {name for node in nodes for name in node.output}
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(values[name].dtype), None)
        for name in cut.boundary
    ]
    _set(graph.output, [value for value in graph.output if value.name in computed])
    _set(graph.value_info, [value for value in graph.value_info if value.name in computed])
    _set(graph.input, [*(value for value in graph.input if value.name in read), *inputs])
    _set(graph.initializer, [tensor for tensor in graph.initializer if tensor.name in read])
    _set(graph.node, nodes)


def _set(field: Any, entries: Sequence[Any]) -> None:
    """Replace the entries of a repeated field."""
    entries = [*entries]
    del field[:]
    field.extend(entries)


def _names_read(node: onnx.NodeProto) -> Iterator[str]:
    """Yield the names that a node and the bodies of its attributes read."""
    yield from node.input
    for attribute in node.attribute:
        for body in (attribute.g, *attribute.graphs):
            for inner in body.node:
                yield from _names_read(inner)
            yield from (output.name for output in body.output)
