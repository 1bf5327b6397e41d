"""Export of a TorchScript module to ONNX, verified by comparing the outputs of both."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from quant.errors import UnsupportedTorchScript
from quant.graph.load.module_call import Call
from quant.graph.load.module_run import ModuleRun, flatten, random_tensors, run_module
from quant.graph.load.torch_session import error_reason
from quant.graph.normalise.compare import difference
from quant.runtime import Session

OPSET = 21
BATCHES = (1, 8)
"""The batch sizes at which the outputs of a module with a dynamic batch axis are compared."""


def export_verified(module: Any, call: Call, target: Path) -> None:
    """Export the module to the file `target`, and compare the outputs at several sizes of the dynamic axes.

    Raises:
        UnsupportedTorchScript: torch cannot export the module, the module or the ONNX model fails at one of the sizes,
            or their outputs differ.
    """
    runs = _runs(module, call)
    _export(module, call, runs, target)
    session = Session(target, "the exported module", UnsupportedTorchScript)
    for run in runs:
        fault = difference(run.outputs, session.run(run.feeds))
        if fault is not None:
            raise UnsupportedTorchScript(
                f"the exported model computes something else than the module for {run.shapes}: {fault}; "
                "accepted: modules that torch.onnx.export exports faithfully"
            )


def _runs(module: Any, call: Call) -> list[ModuleRun]:
    """Run the module at every batch of `BATCHES`, then with the other dynamic axes twice as long if it accepts that.

    Without a dynamic axis the module runs once.
    """
    if not call.axes:
        return [run_module(module, call)]
    batch, *others = call.axes
    runs = [run_module(module, call.at({**call.sizes, batch: size})) for size in BATCHES]
    if others:
        longer = {**call.sizes, **{axis: 2 * call.sizes[axis] for axis in others}}
        with suppress(UnsupportedTorchScript):  # the module may have a longest sequence or a largest image
            runs.append(run_module(module, call.at(longer)))
    return runs


def _output_axes(runs: Sequence[ModuleRun], call: Call) -> dict[str, dict[int, str]]:
    """Return the dynamic axes of each output by index: those whose size differs between runs.

    An axis that is as long as the batch has the batch's name.
    """
    outputs = list(zip(*(run.outputs for run in runs), strict=True))
    names = ["output"] if len(outputs) == 1 else [f"output_{number}" for number in range(len(outputs))]
    axes: dict[str, dict[int, str]] = {}
    for name, arrays in zip(names, outputs, strict=True):
        sizes = zip(*(array.shape for array in arrays), strict=False)  # a squeeze may change the rank
        axes[name] = {
            axis: call.axes[0] if column[: len(BATCHES)] == BATCHES else f"{name}_{axis}"
            for axis, column in enumerate(sizes)
            if len(set(column)) > 1
        }
    return axes


def _export(module: Any, call: Call, runs: Sequence[ModuleRun], target: Path) -> None:
    import torch

    tensors = random_tensors(call.at(call.sizes))
    is_flat = call.is_flat and runs[0].is_flat
    exported, arguments = (module, call.build(tensors)) if is_flat else (_flat_module(module, call, tensors), tensors)
    output_axes = _output_axes(runs, call)
    try:
        torch.onnx.export(
            exported,
            tuple(arguments),
            str(target),
            dynamo=False,
            opset_version=OPSET,
            input_names=[item.name for item in call.inputs],
            output_names=list(output_axes),
            dynamic_axes={**call.dynamic_axes, **output_axes},
        )
    except Exception as error:  # noqa: BLE001 - the exporter's exceptions share no base class
        reason = error_reason(error)
        raise UnsupportedTorchScript(f"torch {torch.__version__} cannot export the module: {reason}") from None


def _flat_module(module: Any, call: Call, tensors: Sequence[Any]) -> Any:
    """Return a trace of the module that takes and returns tensors only.

    The control flow inside the module stays; arguments that are no tensors become constants.
    """
    import torch

    class Flat(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, *inputs: Any) -> tuple[Any, ...]:
            return tuple(flatten(self.module(*call.build(inputs))))

    trace: Any = torch.jit.trace
    return trace(Flat().eval(), tuple(tensors), check_trace=False)
