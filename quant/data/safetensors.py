"""Arrays of a .safetensors file: a JSON header, and the values of all arrays behind it.

The file starts with the size of the header in 8 bytes. The header has the type, the shape and the place of every array.
"""

import json
import math
import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

MAX_HEADER = 1 << 20
"""The most bytes of a header: 512 arrays take a tenth of it."""
TYPES = {
    "BOOL": "bool", "U8": "<u1", "I8": "<i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8",
    "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip
_SIZE_BYTES = 8
_METADATA = "__metadata__"
"""The entry of a header that holds texts instead of an array."""


@dataclass(frozen=True)
class StoredArray:
    """The type, the shape and the first byte of an array in its file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int

    @property
    def bytes(self) -> int:
        """The size of the values in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(file: IO[bytes], size: int) -> dict[str, StoredArray]:
    """Return the arrays of a file of `size` bytes by name, read from its header alone.

    Raises:
        ValueError: the header is no JSON, too long, or declares an array that the file does not hold.
    """
    length = int.from_bytes(file.read(_SIZE_BYTES), "little")
    if length > min(MAX_HEADER, size - _SIZE_BYTES):
        raise ValueError(f"its header has {length} bytes; accepted: up to {MAX_HEADER}, and no more than the file")
    header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("its header is no object")
    start = _SIZE_BYTES + length
    return {name: _stored(name, entry, start, size) for name, entry in header.items() if name != _METADATA}


def read_safetensors(path: Path) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of a file by name, mapped from the file and read-only.

    Raises:
        ValueError: the header is not valid.
    """
    with path.open("rb") as file:
        stored = read_header(file, path.stat().st_size)
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return {
        name: np.frombuffer(content, array.dtype, math.prod(array.shape), array.start).reshape(array.shape)
        for name, array in stored.items()
    }


def _stored(name: str, entry: Mapping[str, Any], start: int, size: int) -> StoredArray:
    """Return one array of a header whose values begin at byte `start` of a file of `size` bytes.

    Raises:
        ValueError: its type is unknown, or its place is not that of an array of its shape.
    """
    match entry:
        case {"dtype": str(kind), "shape": [*shape], "data_offsets": [int(first), int(end)]} if all(
            type(length) is int and length >= 0 for length in shape
        ):
            if kind not in TYPES:
                raise ValueError(f"array {name!r} is {kind[:20]}; accepted: {', '.join(TYPES)}")
            array = StoredArray(np.dtype(TYPES[kind]), tuple(shape), start + first)
            if not 0 <= first <= end <= size - start or array.bytes != end - first:
                raise ValueError(
                    f"array {name!r} declares {array.bytes} bytes at {first} to {end} of {max(size - start, 0)}"
                )
            return array
    raise ValueError(f"the entry of array {name!r} is not valid; accepted: dtype, shape and data_offsets")
