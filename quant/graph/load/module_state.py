"""Refusal of modules that keep state between calls, or draw random numbers: an ONNX model does neither."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.errors import StatefulModule, UnsupportedTorchScript
from quant.graph.load.module_call import Call
from quant.graph.load.module_run import run_module


def refuse_written_attributes(module: Any) -> None:
    """Raise StatefulModule if the code of forward assigns to attributes of the module."""
    names = sorted({node.s("name") for node in _nodes(module.inlined_graph) if node.kind() == "prim::SetAttr"})
    if names:
        raise _stateful(names)


def refuse_changes(module: Any, call: Call) -> None:
    """Run the module twice on the same inputs, and compare its buffers and outputs.

    Raises:
        StatefulModule: a buffer of the module changed.
        UnsupportedTorchScript: the module fails, or the outputs differ.
    """
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    fixed = call.at(call.sizes)
    first, second = run_module(module, fixed).outputs, run_module(module, fixed).outputs
    changed = [name for name, buffer in module.named_buffers() if not _equal(before[name].numpy(), buffer.numpy())]
    if changed:
        raise _stateful(changed)
    if not all(_equal(a, b) for a, b in zip(first, second, strict=True)):
        raise UnsupportedTorchScript(
            "forward returns other outputs for the same inputs: it draws random numbers or keeps state; "
            "accepted: modules in eval mode that do neither"
        )


def _nodes(block: Any) -> Iterator[Any]:
    """Yield all nodes of a torch graph or block, and of the blocks inside."""
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes(inner)


def _stateful(attributes: Sequence[str]) -> StatefulModule:
    names = ", ".join(repr(name) for name in attributes[:5])
    return StatefulModule(
        f"forward writes to the module's own {names}, and an ONNX model keeps nothing between calls; "
        "accepted: a module in eval mode that takes its state as an input and returns it"
    )


def _equal(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
