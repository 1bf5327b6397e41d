"""Import of a TorchScript module as an ONNX model: vetted archive, call, exported model."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from quant.errors import UnsupportedTorchScript
from quant.graph.load.module_call import Call, declared_call, describe, traced_call
from quant.graph.load.module_export import export_verified
from quant.graph.load.module_run import run_module
from quant.graph.load.module_state import refuse_changes, refuse_written_attributes
from quant.graph.load.torch_session import open_module, torch_session
from quant.graph.load.torchscript_archive import vet
from quant.spec import ModuleInput

_BATCHES = (2, 1)
"""The batch sizes to try until the module runs."""
_OTHER_SIZES = (32, 8, 64, 224, 512)
"""The sizes to try for a dynamic axis other than the batch, until the module runs."""


def export_onnx(upload: Path, folder: Path, inputs: Sequence[ModuleInput]) -> Path:
    """Export a TorchScript file to ONNX in `folder`, and return the path of the ONNX file.

    1. Vet the archive without torch.
    2. Open the module, and refuse one that writes to its own attributes.
    3. Determine the call: the inputs with their dynamic axes, and sizes at which the module runs.
    4. Refuse a module whose buffers or outputs change from run to run.
    5. Export the module, and compare its outputs with those of the ONNX model.

    Args:
        upload: the TorchScript file.
        folder: the folder for the vetted copy and the ONNX file.
        inputs: the inputs that the spec declares. Without them a traced module's own are used, and their first axis is
            dynamic if the exported model computes the same at any batch.

    Raises:
        UnsafeModel: the archive's code accesses more than a model needs (`quant.graph.load.torchscript_archive`).
        UnsupportedFormat: the file is a checkpoint of weights without code.
        UnreadableModel: the archive is damaged.
        InputShapesRequired: neither the archive nor the spec declares the inputs.
        SpecError: the spec declares more inputs than forward takes.
        StatefulModule: forward changes the module.
        UnsupportedTorchScript: torch cannot open, run or export the module, or the ONNX model computes something else.
    """
    archive = vet(upload, folder)
    target = folder / "exported.onnx"
    with torch_session():
        module = open_module(archive.path)
        refuse_written_attributes(module)
        if inputs or archive.arguments is None:
            call = _declared_call(module, inputs)
            refuse_changes(module, call)
            export_verified(module, call, target)
        else:
            call = traced_call(module.forward.schema, archive.arguments)
            refuse_changes(module, call)
            _export_trace(module, call, target)
    return target


def _declared_call(module: Any, inputs: Sequence[ModuleInput]) -> Call:
    """Return the call that the spec describes, with sizes at which the module runs."""
    call = declared_call(module.forward.schema, inputs)
    return call.with_sizes(_sizes_that_run(module, call))


def _sizes_that_run(module: Any, call: Call) -> Mapping[str, int]:
    """Return the first sizes of the dynamic axes at which the module runs.

    Raises:
        UnsupportedTorchScript: the module fails at all of them, with the reason for the first.
    """
    batch, others = call.axes[:1], call.axes[1:]
    fault = ""
    for other, count in product(_OTHER_SIZES if others else (1,), _BATCHES if batch else (1,)):
        sizes = dict.fromkeys(others, other) | dict.fromkeys(batch, count)
        try:
            run_module(module, call.at(sizes))
        except UnsupportedTorchScript as error:
            fault = fault or error.detail
        else:
            return sizes
    raise UnsupportedTorchScript(f"{fault}; accepted: shapes and dtypes that {describe(module.forward.schema)} takes")


def _export_trace(module: Any, call: Call, target: Path) -> None:
    """Export a traced module with a dynamic batch axis, or with the traced batch if the trace is valid for no other."""
    try:
        export_verified(module, call, target)
    except UnsupportedTorchScript:
        export_verified(module, call.at(call.sizes), target)
