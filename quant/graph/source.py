"""The float model of a job as one ONNX file, whatever was uploaded: ONNX as it is, or a zip or tar of it."""

from pathlib import Path

import onnx_ir as ir

from quant.graph.archive import unpack

_TAR_MAGIC = slice(257, 262)


def float_onnx(upload: Path, folder: Path) -> Path:
    """The path of the float model's ONNX file, its external data beside it; what has to be made goes into `folder`.

    The float reference runs this file, and `quant.graph.load.load` reads it.

    Raises:
        ModelError: the upload is an archive that cannot be believed; see `quant.graph.archive`.
    """
    with upload.open("rb") as file:
        head = file.read(512)
    if head.startswith((b"PK\x03\x04", b"\x1f\x8b")) or head[_TAR_MAGIC] == b"ustar":
        return unpack(upload, folder)
    return upload


def onnx_bytes(onnx: Path, model: ir.Model) -> int:
    """The size in bytes of an ONNX file and of the weights of its model that lie beside it."""
    outside = (value.const_value for value in model.graph.initializers.values())
    return onnx.stat().st_size + sum(tensor.nbytes for tensor in outside if isinstance(tensor, ir.ExternalTensor))
