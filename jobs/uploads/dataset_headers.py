"""The headers of an uploaded dataset, read without trusting what they declare."""

import io
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zipfile import ZipFile

import numpy as np
from obstore.exceptions import BaseError as StoreError

from jobs.errors import EmptyDataset
from quant.data.formats import ACCEPTED, HEAD, FormatName, recognise
from quant.data.images.archive import members_of
from quant.data.safetensors import read_header
from quant.errors import UnreadableDataset

MAX_ARRAYS = 512
"""The most arrays of a file: samples of several shapes take one array each. Every header is a request to the object
store, so more samples are better padded, with their lengths."""
MAX_HEADER = 10_000
"""The most bytes of an .npy header."""
_MAGIC_AND_SIZE = 12
"""The most bytes before an .npy header: the magic string, the version and the header's size."""
MAX_DIRECTORY = 1 << 20
MAX_IMAGE_DIRECTORY = 1 << 23
"""The most bytes of the list of members of an archive of images: 50,000 images take up to 6 MB."""
_one_directory = threading.Lock()
"""Held while a list of images is read: in memory it takes up to 100 MB."""


@dataclass(frozen=True)
class _Contents:
    """The number of samples if it is known, the headers of the arrays, and the bytes that they declare."""

    samples: int | None
    arrays: tuple[dict[str, Any], ...]
    bytes: int


def check_dataset(head: bytes) -> None:
    """Check that a dataset's first bytes are those of an accepted format.

    Raises:
        EmptyDataset: there are no bytes.
        UnreadableDataset: the bytes start another format.
    """
    if not head:
        raise EmptyDataset(f"the body is empty; accepted: {ACCEPTED}")
    if recognise(head) is None:
        raise UnreadableDataset(f"the file does not start like a dataset; accepted: {ACCEPTED}")


def describe_dataset(file: io.BufferedReader, size: int, limit: int) -> dict[str, Any]:
    """Return `format`, `samples` and `arrays` of a file, read from its headers alone.

    An array is `{name, dtype, shape}`. An archive of images has no arrays. An HDF5 file, which only a job opens, has
    None as its number of samples and no arrays.

    Raises:
        UnreadableDataset: the file has no accepted format, has no samples, holds pickled objects, or declares more than
            `limit` bytes.
    """
    file_format = recognise(file.read(HEAD))
    file.seek(0)
    try:
        if file_format is None:
            raise ValueError("it does not start like a dataset")
        contents = _READERS[file_format](file, size)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - hostile bytes make zipfile, its codecs and NumPy raise anything
        reason = str(error).split("\n")[0][:200]
        accepted = "" if "accepted: " in reason else f"; accepted: {ACCEPTED}"
        raise UnreadableDataset(f"the dataset cannot be read ({reason}){accepted}") from None
    if contents.bytes > limit:
        raise UnreadableDataset(f"the dataset declares {contents.bytes} bytes; accepted: up to {limit}")
    if contents.samples is None and contents.arrays:
        raise UnreadableDataset("no array has a sample axis; accepted: one array for each model input, samples first")
    return {"format": file_format, "samples": contents.samples, "arrays": contents.arrays}


def count_samples(arrays: Sequence[Mapping[str, Any]]) -> int | None:
    """Return the number of samples: arrays `x.0`, `x.1`, and so on count, else the first axis of the first array.

    Args:
        arrays: the headers as `describe_dataset` returns them.

    Returns:
        None if no array has an axis of samples.
    """
    names = {array["name"] for array in arrays}
    for array in arrays:
        numbered = array["name"].removesuffix(".0")
        if numbered != array["name"] and f"{numbered}.1" in names:
            return next(number for number in range(len(names) + 1) if f"{numbered}.{number}" not in names)
    # an input of the model may be called `mean` or `std`; the factors of images have one axis at most
    least_axes = [2 if array["name"].strip("_") in ("mean", "std") else 1 for array in arrays]
    shapes = [array["shape"] for array, least in zip(arrays, least_axes, strict=True) if len(array["shape"]) >= least]
    return int(shapes[0][0]) if shapes else None


class _BoundedReader(io.BufferedReader):
    """A reader that refuses large reads: zipfile reads a directory whole, whatever size the file declares for it."""

    def __init__(self, raw: io.BufferedReader, limit: int) -> None:
        super().__init__(raw)
        self._limit = limit

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self._limit:
            raise ValueError(f"its directory has {size} bytes; accepted: up to {self._limit}")
        return super().read(self._limit if size is None or size < 0 else size)


def _of_headers(headers: Sequence[dict[str, Any]]) -> _Contents:
    """Return the contents of a file with these headers, of which each is `{name, dtype, shape, bytes}`.

    Raises:
        UnicodeEncodeError: a name holds half of a surrogate pair, which no record can hold.
    """
    for header in headers:
        header["name"].encode()
    declared = sum(header.pop("bytes") for header in headers)
    return _Contents(count_samples(headers), tuple(headers), declared)


def _npy(file: io.BufferedReader, size: int) -> _Contents:
    return _of_headers([_header("", file, size)])


def _npz(file: io.BufferedReader, _: int) -> _Contents:
    """Return the header of every member of an .npz file."""
    with ZipFile(_BoundedReader(file, MAX_DIRECTORY)) as archive:
        entries = archive.infolist()
        _check_number(len(entries))
        arrays = []
        for entry in entries:
            if not entry.filename.endswith(".npy"):
                raise ValueError(f"{entry.filename!r} is not an array")
            with archive.open(entry) as member:
                arrays.append(_header(entry.filename.removesuffix(".npy"), member, entry.file_size))
    return _of_headers(arrays)


def _safetensors(file: io.BufferedReader, size: int) -> _Contents:
    arrays = read_header(file, size)
    _check_number(len(arrays))
    return _of_headers([
        {"name": name, "dtype": str(array.dtype), "shape": list(array.shape), "bytes": array.bytes}
        for name, array in arrays.items()
    ])  # fmt: skip


def _hdf5(_: io.BufferedReader, size: int) -> _Contents:
    return _Contents(None, (), size)


def _images(file: io.BufferedReader, _: int) -> _Contents:
    """Return the number of the images of an archive, and the sum of their sizes."""
    with _one_directory, ZipFile(_BoundedReader(file, MAX_IMAGE_DIRECTORY)) as archive:
        members = members_of(archive)
        return _Contents(len(members.images), (), members.bytes)


_READERS: Mapping[FormatName, Callable[[io.BufferedReader, int], _Contents]] = {
    "npy": _npy,
    "npz": _npz,
    "safetensors": _safetensors,
    "hdf5": _hdf5,
    "images": _images,
}
"""The reader of the headers of each format, for a file and its size."""


def _check_number(arrays: int) -> None:
    if not 0 < arrays <= MAX_ARRAYS:
        raise ValueError(f"{arrays} arrays; accepted: 1 to {MAX_ARRAYS}")


def _header(name: str, file: Any, size: int) -> dict[str, Any]:
    """Return `{name, dtype, shape, bytes}` from an .npy header of a member of `size` bytes."""
    readers: dict[tuple[int, int], Callable[..., Any]] = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    start = io.BytesIO(file.read(_MAGIC_AND_SIZE + MAX_HEADER))  # NumPy reads all that a header declares, up to 4 GiB
    version = np.lib.format.read_magic(start)
    if version not in readers:
        raise ValueError(f"npy version {version}")
    shape, _, dtype = readers[version](start, max_header_size=MAX_HEADER)
    if any(length < 0 for length in shape):
        raise ValueError(f"array {name!r} has the shape {shape}")
    if dtype.hasobject:
        raise ValueError(f"array {name!r} holds Python objects")
    declared = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if declared > size:
        raise ValueError(f"array {name!r} declares {declared} bytes and has {size}")
    return {"name": name, "dtype": str(dtype), "shape": list(shape), "bytes": declared}
