"""The arrays of an .npz or .npy file, mapped where they lie there as they are: nothing is copied that need not be."""

import mmap
import struct
import zlib
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from quant.errors import UnreadableDataset

_LOCAL_HEADER = 30
"""Bytes of a member's own header in a zip; the lengths of the name and of the extra field behind it are its last."""
_AT_ONCE = 8 << 20
"""Bytes of a member whose checksum is taken before its pages are given back."""
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    """The arrays by name, read-only or not; the one of an .npy has the name "".

    Raises:
        UnreadableDataset: not an npz or npy file, cut short, of a wrong checksum, or with pickled objects.
    """
    try:
        return _read(path)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - for hostile bytes zipfile, its codecs and NumPy raise what they like
        first = str(error).split("\n")[0][:200]
        raise UnreadableDataset(
            f"the dataset cannot be read ({first}); accepted: .npz or .npy of plain arrays, no pickled objects"
        ) from None


def give_back(array: NDArray[np.generic]) -> None:
    """Give back the memory that a mapped array's file takes: what is looked at again is read again."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview) and isinstance(base.obj, mmap.mmap):
        base.obj.madvise(mmap.MADV_DONTNEED)


def _read(path: Path) -> dict[str, NDArray[np.generic]]:
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return {"": loaded}
    with loaded, path.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        mapped = {name: _mapped(content, loaded.zip, f"{name}.npy") for name in loaded.files}
        arrays = {name: loaded[name] if array is None else array for name, array in mapped.items()}
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # NumPy hands on the bytes of members that are no .npy
            raise ValueError(f"{name!r} is no array")
    return arrays


def _mapped(content: mmap.mmap, archive: ZipFile, member: str) -> NDArray[np.generic] | None:
    """A member that is stored without compression, where it lies; None for what NumPy has to read."""
    info = archive.NameToInfo.get(member)
    if info is None or info.compress_type != ZIP_STORED:
        return None
    with archive.open(info) as file:
        read_header = _HEADERS.get(npy.read_magic(file))
        if read_header is None:
            return None
        shape, fortran_order, dtype = read_header(file)
        behind_header = file.tell()
    lengths = struct.unpack_from("<HH", content, info.header_offset + _LOCAL_HEADER - 4)
    start = info.header_offset + _LOCAL_HEADER + sum(lengths)
    count = int(np.prod(shape, dtype=object))
    if fortran_order or dtype.hasobject or behind_header + count * dtype.itemsize != info.file_size:
        return None
    if _checksum(content, start, start + info.file_size) != info.CRC:
        raise BadZipFile(f"bad CRC-32 of {member!r}")
    return np.frombuffer(content, dtype, count, start + behind_header).reshape(shape)


def _checksum(content: mmap.mmap, start: int, end: int) -> int:
    checksum = 0
    with memoryview(content) as whole:
        for at in range(start, end, _AT_ONCE):
            with whole[at : min(at + _AT_ONCE, end)] as data:
                checksum = zlib.crc32(data, checksum)
            content.madvise(mmap.MADV_DONTNEED)
    return checksum
