"""Array headers of an uploaded dataset, read without trusting what they declare."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zipfile import ZipFile

import numpy as np
from obstore.exceptions import BaseError as StoreError

from jobs.errors import EmptyDataset
from quant.errors import UnreadableDataset

MAX_ARRAYS = 512
"""The most arrays of a file: samples of several shapes take one array each. Every header is a request to the object
store, so more samples are better padded, with their lengths."""
MAX_HEADER = 10_000
MAX_DIRECTORY = 1 << 20
NPY_MAGIC = b"\x93NUMPY"


def check_dataset(head: bytes) -> None:
    """Check that a dataset's first bytes are those of an .npz or .npy file.

    Raises:
        EmptyDataset: there are no bytes.
        UnreadableDataset: the bytes start another format.
    """
    if not head:
        raise EmptyDataset("the body is empty; accepted: .npz or .npy")
    if not head.startswith((b"PK\x03\x04", NPY_MAGIC)):
        raise UnreadableDataset("the file does not start like a dataset; accepted: .npz or .npy")


def dataset_arrays(file: io.BufferedReader, size: int, limit: int) -> tuple[str, list[dict[str, Any]]]:
    """Return `npz` or `npy` and `{name, dtype, shape}` of each array, read from the headers alone.

    Raises:
        UnreadableDataset: the file is neither, holds pickled objects, or declares more than `limit` bytes.
    """
    head = file.read(len(NPY_MAGIC))
    file.seek(0)
    try:
        if head == NPY_MAGIC:
            arrays, file_format = [_header("", file, size)], "npy"
        else:
            arrays, file_format = _members(file), "npz"
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - hostile bytes make zipfile, its codecs and NumPy raise anything
        reason = str(error).split("\n")[0][:200]
        raise UnreadableDataset(f"the dataset cannot be read ({reason}); accepted: .npz or .npy") from None
    declared = sum(array.pop("bytes") for array in arrays)
    if declared > limit:
        raise UnreadableDataset(f"the arrays declare {declared} bytes; accepted: up to {limit}")
    return file_format, arrays


def count_samples(arrays: Sequence[Mapping[str, Any]]) -> int | None:
    """Return the number of samples: arrays `x.0`, `x.1`, and so on count, else the first axis of the first array.

    Args:
        arrays: the headers as `dataset_arrays` returns them.

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

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_DIRECTORY:
            raise ValueError(f"its directory has {size} bytes")
        return super().read(MAX_DIRECTORY if size is None or size < 0 else size)


def _members(file: io.BufferedReader) -> list[dict[str, Any]]:
    """Return the header of every member of an .npz file."""
    with ZipFile(_BoundedReader(file)) as archive:
        entries = archive.infolist()
        if not 0 < len(entries) <= MAX_ARRAYS:
            raise ValueError(f"{len(entries)} arrays; accepted: 1 to {MAX_ARRAYS}")
        arrays = []
        for entry in entries:
            if not entry.filename.endswith(".npy"):
                raise ValueError(f"{entry.filename!r} is not an array")
            with archive.open(entry) as member:
                arrays.append(_header(entry.filename.removesuffix(".npy"), member, entry.file_size))
    return arrays


def _header(name: str, file: Any, size: int) -> dict[str, Any]:
    """Return `{name, dtype, shape, bytes}` from an .npy header of a member of `size` bytes."""
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
