"""Telling a model's kind from its first bytes, and reading a dataset's headers: nothing here parses a model."""

import io
import re
import struct
from collections.abc import Callable
from typing import Any
from zipfile import ZipFile

import numpy as np
from obstore.exceptions import BaseError as StoreError

from jobs.errors import EmptyDataset, EmptyModel
from quant.errors import UnreadableDataset, UnsupportedFormat

ACCEPTED = "an .onnx file, a zip or tar of an ONNX model with its external data, or a TorchScript .pt"
MAX_ARRAYS = 64
MAX_HEADER = 10_000
MAX_DIRECTORY = 1 << 20
NPY_MAGIC = b"\x93NUMPY"
_MODEL_PROTO_FIELDS = {1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26}
_TORCH_ENTRY = re.compile(rb"[^/]+/(data/\d+$|data\.pkl|constants\.pkl|version|byteorder|code/|\.data/)")


def model_format(head: bytes) -> str:
    """`onnx`, `archive` or `torchscript` by the first bytes.

    Raises:
        EmptyModel: there are none.
        UnsupportedFormat: they are of no kind that is accepted.
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
    raise UnsupportedFormat(f"the file's first bytes are of no model; accepted: {ACCEPTED}")


def check_dataset(head: bytes) -> None:
    """Look at a dataset's first bytes.

    Raises:
        EmptyDataset: there are none.
        UnreadableDataset: they are not those of an .npz or .npy.
    """
    if not head:
        raise EmptyDataset("the body is empty; accepted: .npz or .npy")
    if not head.startswith((b"PK\x03\x04", NPY_MAGIC)):
        raise UnreadableDataset("the file's first bytes are of no dataset; accepted: .npz or .npy")


def dataset_arrays(file: io.BufferedReader, size: int, limit: int) -> tuple[str, list[dict[str, Any]]]:
    """`npz` or `npy`, and `{name, dtype, shape}` of each array, from the headers alone.

    Raises:
        UnreadableDataset: no npz or npy, pickled objects, or more declared bytes than `limit`.
    """
    head = file.read(len(NPY_MAGIC))
    file.seek(0)
    try:
        if head == NPY_MAGIC:
            arrays = [_header("", file, size)]
            kind = "npy"
        else:
            arrays, kind = _members(file), "npz"
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - for hostile bytes zipfile, its codecs and NumPy raise what they like
        first = str(error).split("\n")[0][:200]
        raise UnreadableDataset(f"the dataset cannot be read ({first}); accepted: .npz or .npy") from None
    declared = sum(array.pop("bytes") for array in arrays)
    if declared > limit:
        raise UnreadableDataset(f"the arrays declare {declared} bytes; accepted: up to {limit}")
    return kind, arrays


class _Sips(io.BufferedReader):
    """A file that is read in small parts: zipfile takes a directory whole, however large it says it is."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_DIRECTORY:
            raise ValueError(f"its directory has {size} bytes")
        return super().read(MAX_DIRECTORY if size is None or size < 0 else size)


def _members(file: io.BufferedReader) -> list[dict[str, Any]]:
    with ZipFile(_Sips(file)) as archive:
        entries = archive.infolist()
        if not 0 < len(entries) <= MAX_ARRAYS:
            raise ValueError(f"{len(entries)} arrays; accepted: 1 to {MAX_ARRAYS}")
        arrays = []
        for entry in entries:
            if not entry.filename.endswith(".npy"):
                raise ValueError(f"{entry.filename!r} is no array")
            with archive.open(entry) as member:
                arrays.append(_header(entry.filename.removesuffix(".npy"), member, entry.file_size))
    return arrays


def _header(name: str, file: Any, size: int) -> dict[str, Any]:
    readers: dict[tuple[int, int], Callable[..., Any]] = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    version = np.lib.format.read_magic(file)
    if version not in readers:
        raise ValueError(f"npy version {version}")
    shape, _, dtype = readers[version](file, max_header_size=MAX_HEADER)
    if any(length < 0 for length in shape):
        raise ValueError(f"array {name!r} has the shape {shape}")
    if dtype.hasobject:
        raise ValueError(f"array {name!r} holds Python objects")
    declared = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if declared > size:
        raise ValueError(f"array {name!r} declares {declared} bytes and has {size}")
    return {"name": name, "dtype": str(dtype), "shape": list(shape), "bytes": declared}
