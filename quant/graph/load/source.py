"""The float model of a job as one ONNX file, whatever was uploaded: ONNX, a zip or tar of it, or TorchScript."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import onnx_ir as ir

from quant.graph.load.archive import ACCEPTED, readable, unpack
from quant.graph.load.external import lies_outside
from quant.graph.load.onnx_file import load
from quant.graph.load.torchscript import export_onnx
from quant.graph.load.torchscript_archive import is_torchscript
from quant.graph.normalise.float32 import has_bfloat16, to_float32
from quant.graph.normalise.inline import inline_functions
from quant.spec import ModuleInput

_TAR_MAGIC = slice(257, 262)


@dataclass(frozen=True)
class FloatModel:
    """`model` to be quantized, `reference` the ONNX file that computes the same in ONNX Runtime, `size` in bytes.

    The size is that of the ONNX file as it was given, with the weights that lie beside it.
    """

    model: ir.Model
    reference: Path
    size: int


def open_model(
    upload: Path, folder: Path, module_inputs: Sequence[ModuleInput] = (), most: float = math.inf
) -> FloatModel:
    """The float model of an upload; `folder` is for what has to be made, and is needed as long as the model is.

    External data of more than `most` bytes is left where it is.

    Raises:
        ModelError, SpecError: see `float_onnx` and `quant.graph.load.onnx_file.load`.
    """
    source = float_onnx(upload, folder, module_inputs)
    model = load(source, most)
    size = onnx_bytes(source, model)
    if has_bfloat16(model):  # ONNX Runtime has no such kernels: the reference computes in FP32, too
        inline_functions(model)
        to_float32(model)
        if size <= most:  # one that is larger is never run here
            source = folder / "float32.onnx"
            ir.save(model, source)
    return FloatModel(model, source, size)


def float_onnx(upload: Path, folder: Path, module_inputs: Sequence[ModuleInput] = ()) -> Path:
    """The path of the float model's ONNX file, its external data beside it; what has to be made goes into `folder`.

    `module_inputs` are what a TorchScript
    module takes, where its file does not say.

    Raises:
        ModelError: an archive that cannot be believed (`quant.graph.load.archive`), or a TorchScript module that cannot
            become ONNX (`quant.graph.load.torchscript`).
        SpecError: the shapes of a TorchScript module's inputs are missing, or too many.
    """
    with upload.open("rb") as file:
        head = file.read(512)
    if head.startswith(b"PK\x03\x04"):
        with readable(ACCEPTED), ZipFile(upload) as archive:
            names = archive.namelist()
        return export_onnx(upload, folder, module_inputs) if is_torchscript(names) else unpack(upload, folder)
    if head.startswith(b"\x1f\x8b") or head[_TAR_MAGIC] == b"ustar":
        return unpack(upload, folder)
    return upload


def onnx_bytes(onnx: Path, model: ir.Model) -> int:
    """The size in bytes of an ONNX file and of the weights of its model that lie beside it."""
    outside = (value.const_value for value in model.graph.initializers.values())
    return onnx.stat().st_size + sum(tensor.nbytes for tensor in outside if tensor is not None and lies_outside(tensor))
