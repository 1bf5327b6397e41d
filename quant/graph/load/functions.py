"""Checks of a model's local functions before they are inlined: a few bytes can stand for any number of nodes."""

from collections import Counter
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

import onnx

from quant.errors import UnsupportedOperator

MAX_DEPTH = 64
"""The most functions that call each other, the first the second and so on."""
MAX_NODES = 1_000_000
"""The most nodes of the main graph after all calls are replaced by the nodes of their functions."""

Name = tuple[str, str]
"""The domain and the name of a function."""


def check_functions(functions: Mapping[Name, Iterable[onnx.NodeProto]], main: Iterable[onnx.NodeProto]) -> None:
    """Check how deeply functions call each other, and how many nodes they become.

    Args:
        functions: the nodes of each function, those in its bodies included.
        main: the nodes of the main graph, those in its bodies included.

    Raises:
        UnsupportedOperator: a function calls itself, the calls nest too deeply, or there are too many nodes.
    """
    called = {name: _names(nodes) for name, nodes in functions.items()}
    calls = {name: [other for other in names if other in functions] for name, names in called.items()}
    try:
        order = list(TopologicalSorter(calls).static_order())
    except CycleError as error:
        _, name = error.args[1][0]
        raise UnsupportedOperator(f"function {name!r} calls itself; accepted: functions that do not") from None
    nodes: dict[Name, int] = {}
    depths: dict[Name, int] = {}
    for name in order:
        depths[name] = 1 + max((depths[other] for other in calls[name]), default=0)
        nodes[name] = sum(nodes.get(other, 1) * count for other, count in called[name].items())
    depth = max(depths.values(), default=0)
    if depth > MAX_DEPTH:
        raise UnsupportedOperator(f"functions call each other {depth} deep; accepted: at most {MAX_DEPTH}")
    total = sum(nodes.get(name, 1) * count for name, count in _names(main).items())
    if total > MAX_NODES:
        raise UnsupportedOperator(
            f"with all functions inlined, the model has {total:,} nodes; accepted: at most {MAX_NODES:,}"
        )


def _names(nodes: Iterable[onnx.NodeProto]) -> Counter[Name]:
    return Counter((node.domain, node.op_type) for node in nodes)
