"""The float model of an upload, whatever its format: ONNX, an archive of ONNX with external data, or TorchScript."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import onnx_ir as ir

from quant.graph.load.archive import ACCEPTED, archive_kind, translate_errors, unpack
from quant.graph.load.external import is_external
from quant.graph.load.onnx_file import load
from quant.graph.load.torchscript import export_onnx
from quant.graph.load.torchscript_archive import is_torchscript
from quant.graph.normalise.float32 import has_bfloat16, to_float32
from quant.graph.normalise.inline import inline_functions
from quant.graph.signature import Signature, signature_of
from quant.spec import ModuleInput


@dataclass(frozen=True)
class FloatModel:
    """The float model to be quantized.

    Attributes:
        model: the graph and its weights.
        reference: an ONNX file that computes the same outputs in ONNX Runtime.
        size: the bytes of the ONNX file as it was uploaded or exported, with its external data.
        signature: the inputs and outputs of the ONNX file; BF16 ones, which NumPy does not have, as FP32.
    """

    model: ir.Model
    reference: Path
    size: int
    signature: Signature


def open_model(
    upload: Path, folder: Path, module_inputs: Sequence[ModuleInput] = (), max_read: float = math.inf
) -> FloatModel:
    """Return the float model of an upload.

    Args:
        upload: the uploaded file.
        folder: an empty folder for unpacked and exported files, which must exist as long as the model is used.
        module_inputs: the inputs of a TorchScript module whose file does not declare them.
        max_read: the most bytes of external data that are read into memory. If there are more, each weight is mapped
            whenever it is used.

    Raises:
        ModelError: the upload is refused; see `float_onnx` and `quant.graph.load.onnx_file.load`.
        SpecError: the inputs of a TorchScript module are missing, or too many.
    """
    path = float_onnx(upload, folder, module_inputs)
    model = load(path, max_read)
    size = onnx_bytes(path, model)
    if has_bfloat16(model):  # ONNX Runtime has no BF16 kernels, so the reference computes in FP32 too
        inline_functions(model)
        to_float32(model)
        if size <= max_read:  # a larger model is never run as a whole
            path = folder / "float32.onnx"
            ir.save(model, path)
    return FloatModel(model, path, size, signature_of(model))


def float_onnx(upload: Path, folder: Path, module_inputs: Sequence[ModuleInput] = ()) -> Path:
    """Return the path of the float model's ONNX file, with its external data beside it.

    Args:
        upload: an ONNX file, a zip or tar of one, or a TorchScript file.
        folder: an empty folder for unpacked and exported files.
        module_inputs: the inputs of a TorchScript module whose file does not declare them.

    Raises:
        ModelError: the archive is damaged or unsafe (`quant.graph.load.archive`), or the TorchScript module cannot be
            exported (`quant.graph.load.torchscript`).
        SpecError: the inputs of a TorchScript module are missing, or too many.
    """
    with upload.open("rb") as file:
        kind = archive_kind(file.read(512))
    if kind is None:
        return upload
    if kind == "zip" and is_torchscript(_member_names(upload)):
        return export_onnx(upload, folder, module_inputs)
    return unpack(upload, folder)


def onnx_bytes(path: Path, model: ir.Model) -> int:
    """Return the size in bytes of an ONNX file with its external data."""
    tensors = (value.const_value for value in model.graph.initializers.values())
    return path.stat().st_size + sum(tensor.nbytes for tensor in tensors if tensor is not None and is_external(tensor))


def _member_names(upload: Path) -> list[str]:
    with translate_errors(ACCEPTED), ZipFile(upload) as archive:
        return archive.namelist()
