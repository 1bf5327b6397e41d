"""Arrays of an .npz or .npy file; uncompressed arrays are mapped from the file instead of copied."""

import math
import mmap
import struct
import zlib
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from quant.data.formats import NPY_MAGIC

_LOCAL_HEADER = 30
"""Bytes of a zip member's local header; its last four are the lengths of the name and of the extra field after it."""
_CHECKSUM_BYTES = 8 << 20
"""Bytes of a member that the checksum reads before it releases their pages."""
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_npz(path: Path) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of the file by name; the array of an .npy file has the name "". Some are read-only.

    Raises:
        Exception: the file is no .npz or .npy, is cut short, has a wrong checksum or contains pickled objects; zipfile,
            its codecs and NumPy raise many types.
    """
    with path.open("rb") as file:  # NumPy does not close a file that it opened and cannot read
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if content[: len(NPY_MAGIC)] == NPY_MAGIC:
            return {"": _read_npy(content, file)}
        with np.load(file, allow_pickle=False) as loaded:
            mapped = {name: _mapped(content, loaded.zip, f"{name}.npy") for name in loaded.files}
            arrays = {name: loaded[name] if array is None else array for name, array in mapped.items()}
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # NumPy returns the bytes of members that are no .npy
            raise ValueError(f"{name!r} is no array")
    return arrays


def release_pages(array: NDArray[np.generic]) -> None:
    """Release the memory of a mapped array; the system reads the file again at the next access."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview) and isinstance(base.obj, mmap.mmap):
        base.obj.madvise(mmap.MADV_DONTNEED)


def _read_npy(content: mmap.mmap, file: IO[bytes]) -> NDArray[np.generic]:
    """Return the array of an .npy file."""
    if (header := _plain_header(file)) is None:
        file.seek(0)
        array: NDArray[np.generic] = np.load(file, allow_pickle=False)
        return array
    shape, dtype = header
    return np.frombuffer(content, dtype, math.prod(shape), file.tell()).reshape(shape)


def _mapped(content: mmap.mmap, archive: ZipFile, member: str) -> NDArray[np.generic] | None:
    """Return an uncompressed member as an array on the mapped file, or None if NumPy has to read the member."""
    info = archive.NameToInfo.get(member)
    if info is None or info.compress_type != ZIP_STORED:
        return None
    with archive.open(info) as file:
        if (header := _plain_header(file)) is None:
            return None
        (shape, dtype), header_bytes = header, file.tell()
    lengths = struct.unpack_from("<HH", content, info.header_offset + _LOCAL_HEADER - 4)
    start = info.header_offset + _LOCAL_HEADER + sum(lengths)
    count = math.prod(shape)
    if header_bytes + count * dtype.itemsize != info.file_size:
        return None
    if _checksum(content, start, start + info.file_size) != info.CRC:
        raise BadZipFile(f"bad CRC-32 of {member!r}")
    return np.frombuffer(content, dtype, count, start + header_bytes).reshape(shape)


def _plain_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]] | None:
    """Return the shape and the type of an array whose values follow in C order; None if NumPy has to read it."""
    read_header = _HEADERS.get(npy.read_magic(file))
    if read_header is None:
        return None
    shape, fortran_order, dtype = read_header(file)
    return None if fortran_order or dtype.hasobject else (shape, dtype)


def _checksum(content: mmap.mmap, start: int, end: int) -> int:
    checksum = 0
    with memoryview(content) as whole:
        for at in range(start, end, _CHECKSUM_BYTES):
            with whole[at : min(at + _CHECKSUM_BYTES, end)] as data:
                checksum = zlib.crc32(data, checksum)
            content.madvise(mmap.MADV_DONTNEED)
    return checksum
