"""Detection of a model's format from its first bytes. Nothing here parses the model."""

import re
import struct

from jobs.errors import EmptyModel
from quant.errors import UnsupportedFormat

ACCEPTED = "an .onnx file, a zip or tar of an ONNX model with its external data, or a TorchScript .pt"
_MODEL_PROTO_FIELDS = {1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26}
_TORCH_ENTRY = re.compile(rb"[^/]+/(data/\d+$|data\.pkl|constants\.pkl|version|byteorder|code/|\.data/)")


def model_format(head: bytes) -> str:
    """Return `onnx`, `archive` or `torchscript`, judged by the first 512 bytes.

    Raises:
        EmptyModel: there are no bytes.
        UnsupportedFormat: the bytes start none of the accepted formats.
    """
    if not head:
        raise EmptyModel(f"the body is empty; accepted: {ACCEPTED}")
    if head.startswith(b"PK\x03\x04"):
        (length,) = struct.unpack_from("<H", head.ljust(30, b"\0"), 26)
        return "torchscript" if _TORCH_ENTRY.match(head[30 : 30 + length]) else "archive"
    if head.startswith(b"\x1f\x8b") or head[257:262] == b"ustar":
        return "archive"
    field, wire_type = head[0] >> 3, head[0] & 7
    if field in _MODEL_PROTO_FIELDS and wire_type == (0 if field in (1, 5) else 2):
        return "onnx"
    raise UnsupportedFormat(f"the file does not start like a model; accepted: {ACCEPTED}")
