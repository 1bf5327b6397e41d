"""A TorchScript module as ONNX: exported by torch, then compared with the module's own outputs on random inputs.

torch is imported here alone, and only where such a module is opened.
"""

import ctypes
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.errors import QuantdError, StatefulModule, UnreadableModel, UnsupportedTorchScript
from quant.graph.load.module_call import Call, describe, given_call, missing_inputs, traced_call
from quant.graph.load.torchscript_archive import vet
from quant.graph.normalise.compare import difference
from quant.runtime import Session
from quant.spec import ModuleInput

OPSET = 21
BATCHES = (1, 8)
"""The batches at which a dynamic batch axis is tried."""
_ENDS = {"uint8": 256}
"""Random integers stay below 2, valid as indices and tokens; bytes below 256."""
_OTHER_AXES = (32, 8, 64, 224, 512)
"""Sizes that are tried for a dynamic axis that is no batch, until the module runs."""


def export_onnx(upload: Path, folder: Path, given: Sequence[ModuleInput]) -> Path:
    """The module as an ONNX file in `folder`, its batch axis dynamic where the module allows it.

    `given` are the spec's inputs; without them a traced module's own are taken.

    Raises:
        UnsafeModel: the archive's code reaches for what no model needs; see `quant.graph.load.torchscript_archive`.
        UnreadableModel: it is damaged.
        InputShapesRequired: neither the archive nor the spec tells the inputs' shapes.
        StatefulModule: forward changes the module.
        UnsupportedTorchScript: torch cannot open, run or export it, or the exported model computes something else.
    """
    vetted = vet(upload, folder)
    with _torch_session():
        module = _open(vetted.path)
        schema = module.forward.schema
        _refuse_written_attributes(module)
        if given or vetted.arguments is None:
            call = given_call(schema, given)
            if not call.inputs:
                raise missing_inputs(schema)
            sizes = _sizes_that_run(module, call)
        else:
            call, sizes = traced_call(schema, vetted.arguments)
        _refuse_changes(module, call.fixed(sizes))
        target = folder / "exported.onnx"
        fault = _export_checked(module, call, sizes, target)
        if fault is not None and not given:  # the trace may hold for its own batch alone
            call = call.fixed(sizes)
            fault = _export_checked(module, call, {}, target)
        if fault is not None:
            raise UnsupportedTorchScript(fault)
    return target


@contextmanager
def _torch_session() -> Iterator[None]:
    """torch without gradients and warnings, and with standard output led to standard error.

    What torch's C++ code and a module's own `print` write must not mix with what a job tells on standard output:
    the one writes to the descriptor, the other to `sys.stdout`.
    """
    try:
        import torch
    except ImportError:
        raise UnsupportedTorchScript(
            "TorchScript needs torch, which is not installed here; accepted: ONNX, or install quantd[torchscript]"
        ) from None
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with torch.no_grad(), redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit is deprecated as a whole
            yield
    finally:
        sys.stdout.flush()
        ctypes.CDLL(None).fflush(None)
        os.dup2(kept, 1)
        os.close(kept)


def _open(path: Path) -> Any:
    import torch

    try:
        load: Any = torch.jit.load
        module = load(str(path), map_location="cpu").eval()
        module.forward.schema  # noqa: B018 - a module without forward has none
    except Exception as error:  # noqa: BLE001 - torch raises what it likes for hostile bytes
        kind = UnreadableModel if "PytorchStreamReader" in str(error) else UnsupportedTorchScript
        raise kind(f"torch {torch.__version__} cannot open the module: {_reason(error)}") from None
    return module


def _refuse_written_attributes(module: Any) -> None:
    written = sorted({node.s("name") for node in _nodes(module.inlined_graph) if node.kind() == "prim::SetAttr"})
    if written:
        raise _stateful(written)


def _nodes(block: Any) -> Iterator[Any]:
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes(inner)


def _stateful(written: Sequence[str]) -> StatefulModule:
    names = ", ".join(repr(name) for name in written[:5])
    return StatefulModule(
        f"forward writes to the module's own {names}, and an ONNX model keeps nothing between calls; "
        "accepted: a module in eval mode that takes its state as an input and returns it"
    )


def _sizes_that_run(module: Any, call: Call) -> dict[str, int]:
    """Numbers for the dynamic axes with which the module runs: its first axis is the batch."""
    batch, others = call.axes[:1], call.axes[1:]
    fault = ""
    for other, count in product(_OTHER_AXES if others else (1,), (2, 1) if batch else (1,)):
        sizes = dict.fromkeys(others, other) | dict.fromkeys(batch, count)
        try:
            _run(module, call.fixed(sizes))
        except UnsupportedTorchScript as error:
            fault = fault or error.detail
        else:
            return sizes
    raise UnsupportedTorchScript(f"{fault}; accepted: shapes and dtypes that {describe(module.forward.schema)} takes")


def _refuse_changes(module: Any, call: Call) -> None:
    """Run it twice on the same inputs: its buffers and outputs must not change."""
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    first, second = _run(module, call).outputs, _run(module, call).outputs
    changed = [name for name, buffer in module.named_buffers() if not _same(before[name].numpy(), buffer.numpy())]
    if changed:
        raise _stateful(changed)
    if not all(_same(a, b) for a, b in zip(first, second, strict=True)):
        raise UnsupportedTorchScript("forward gives other outputs for the same inputs: it draws random numbers or "
                                     "keeps state; accepted: modules in eval mode without either")  # fmt: skip


def _same(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def _export_checked(module: Any, call: Call, sizes: dict[str, int], target: Path) -> str | None:
    """Export at `sizes` and compare there and at others; what went wrong, None where nothing did."""
    try:
        runs = [_run(module, call.fixed(tried)) for tried in _tried(call, sizes)]
        if longer := _longer(call, sizes):
            with suppress(UnsupportedTorchScript):  # the module itself may have a longest sequence or largest image
                runs.append(_run(module, call.fixed(longer)))
        flat = call.is_flat and runs[0].is_flat
        _export(module, call, _tensors(call.fixed(sizes)), flat, _moving_axes(runs, call), target)
        session = Session(target, "the exported module", UnsupportedTorchScript)
        for run in runs:
            fault = difference(run.outputs, session.run(run.feeds))
            if fault is not None:
                return f"the exported model computes something else than the module for {run.shapes}: {fault}"
    except QuantdError as error:
        return error.detail
    return None


def _tried(call: Call, sizes: dict[str, int]) -> list[dict[str, int]]:
    """The batches to compare at, in order; the sizes themselves where none is dynamic."""
    return [sizes | {call.axes[0]: batch} for batch in BATCHES] if call.axes else [sizes]


def _longer(call: Call, sizes: dict[str, int]) -> dict[str, int]:
    """Twice the size on every dynamic axis that is no batch."""
    return {axis: sizes[axis] * (1 if axis == call.axes[0] else 2) for axis in call.axes} if call.axes[1:] else {}


def _moving_axes(runs: Sequence["_Run"], call: Call) -> dict[str, dict[int, str]]:
    """Per output, the axes that changed from run to run; those that follow the batch have its name."""
    outputs = list(zip(*(run.outputs for run in runs), strict=True))
    names = ["output"] if len(outputs) == 1 else [f"output_{number}" for number in range(len(outputs))]
    moving: dict[str, dict[int, str]] = {}
    for name, arrays in zip(names, outputs, strict=True):
        sizes = zip(*(array.shape for array in arrays), strict=False)  # squeeze may change the rank
        moving[name] = {
            axis: call.axes[0] if column[: len(BATCHES)] == BATCHES else f"{name}_{axis}"
            for axis, column in enumerate(sizes)
            if len(set(column)) > 1
        }
    return moving


def _export(
    module: Any, call: Call, tensors: list[Any], flat: bool, moving: dict[str, dict[int, str]], target: Path
) -> None:
    import torch

    exported, arguments = (module, call.build(tensors)) if flat else (_traced_wrapper(module, call, tensors), tensors)
    try:
        torch.onnx.export(
            exported, tuple(arguments), str(target), dynamo=False, opset_version=OPSET,
            input_names=[given.name for given in call.inputs], output_names=list(moving),
            dynamic_axes={**call.dynamic_axes(), **moving},
        )  # fmt: skip
    except Exception as error:  # noqa: BLE001 - the exporter's errors share no base
        raise UnsupportedTorchScript(f"torch {torch.__version__} cannot export the module: {_reason(error)}") from None


def _traced_wrapper(module: Any, call: Call, tensors: list[Any]) -> Any:
    """The module as one that takes and gives tensors alone; its own control flow stays, constants are baked in."""
    import torch

    class Flat(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, *given: Any) -> tuple[Any, ...]:
            return tuple(_flatten(self.module(*call.build(given))))

    trace: Any = torch.jit.trace
    return trace(Flat().eval(), tuple(tensors), check_trace=False)


@dataclass(frozen=True)
class _Run:
    """One call of the module: what it was given, by name, and what it gave."""

    shapes: str
    feeds: dict[str, NDArray[Any]]
    outputs: list[NDArray[Any]]
    is_flat: bool
    """Whether the outputs were a tensor, or a tuple of tensors and tuples."""


def _run(module: Any, call: Call) -> _Run:
    """Run it on seeded random inputs.

    Raises:
        UnsupportedTorchScript: the module fails on them, or gives what is no tensor.
    """
    tensors = _tensors(call)
    feeds = {given.name: tensor.numpy().copy() for given, tensor in zip(call.inputs, tensors, strict=True)}
    shapes = ", ".join(f"{given.name} {list(given.shape)} {given.dtype}" for given in call.inputs)
    try:
        result = module(*call.build(tensors))
        outputs = [output.numpy().copy() for output in _flatten(result)]
    except Exception as error:  # noqa: BLE001 - whatever a module raises
        raise UnsupportedTorchScript(f"the module fails on {shapes}: {_reason(error)}") from None
    if not outputs:
        raise UnsupportedTorchScript("forward gives nothing; accepted: modules that give tensors")
    parts = result if isinstance(result, tuple) else (result,)
    return _Run(shapes, feeds, outputs, all(not isinstance(part, list | dict | NoneType) for part in parts))


def _tensors(call: Call) -> list[Any]:
    import torch

    chance = np.random.default_rng(0)
    arrays = []
    for given in call.inputs:
        shape = [int(size) for size in given.shape]
        floating = given.dtype.startswith("float")
        values = chance.standard_normal(shape) if floating else chance.integers(0, _ENDS.get(given.dtype, 2), shape)
        arrays.append(torch.from_numpy(np.asarray(values).astype(given.dtype)))
    return arrays


def _flatten(value: Any) -> Iterator[Any]:
    """The tensors of an output in order; ONNX has no other values."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from _flatten(part)
    elif value is not None:
        yield value


def _reason(error: Exception) -> str:
    """The last line of a TorchScript traceback says what; of other errors the first does."""
    lines = [line.strip() for line in str(error).strip().split("\n") if line.strip()] or [type(error).__name__]
    return (lines[-1] if "Traceback" in str(error) else lines[0])[:300]
