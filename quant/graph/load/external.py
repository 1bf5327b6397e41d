"""External data of an ONNX file: every reference is checked before anything follows it."""

import math
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
import onnx
import onnx_ir as ir

from quant.errors import MissingExternalData, UnreadableModel, UnsafeModel

_KEYS = frozenset({"location", "offset", "length", "checksum", "basepath"})
_OUTSIDE = "quantd.outside"


def check_external(tensor: onnx.TensorProto, folder: Path | None) -> None:
    """Check one tensor whose data lies in another file; `folder` is the model's own, None for a model in memory.

    Raises:
        UnsafeModel: the file lies outside the folder, or is a link.
        MissingExternalData: it is not there.
        UnreadableModel: the reference is damaged, or the file too short.
    """
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location, what = entries.get("location", ""), f"weight {tensor.name!r}"
    damaged = any(isinstance(part, bytes) for pair in entries.items() for part in pair)  # what is not UTF-8
    if damaged or not location or set(entries) - _KEYS or len(entries) != len(tensor.external_data):
        raise UnreadableModel(f"{what} has a reference to external data that names no file, or has unknown keys")
    path = PurePosixPath(location)
    if path.is_absolute() or ".." in path.parts or any(sign in location for sign in "\\\0:"):
        raise UnsafeModel(f"{what} lies in {location[:200]!r}, outside the model's folder; accepted: files beside it")
    if folder is None or not os.path.lexists(found := folder / path):
        raise MissingExternalData(
            f"{what} lies in another file, {location[:200]!r}, that was not uploaded; "
            "accepted: one ONNX file with its weights inside, or a zip or tar of the model with its external data"
        )
    if found.resolve() != folder.resolve() / path or not found.is_file():
        raise UnsafeModel(f"{what} lies in {location[:200]!r}, a link or folder; accepted: regular files")
    _check_extent(found, entries, what)


def _check_extent(file: Path, entries: dict[str, str], what: str) -> None:
    offset, length = entries.get("offset", "0"), entries.get("length", "0")
    if not all(number.isascii() and number.isdigit() and len(number) < 19 for number in (offset, length)):
        raise UnreadableModel(f"{what} has the offset {offset[:50]!r} and length {length[:50]!r}; accepted: integers")
    size = file.stat().st_size
    if int(offset) + int(length) > size:
        raise UnreadableModel(f"{what} lies at {offset} + {length} of {file.name!r}, which has {size} bytes")


def read_external(model: ir.Model, folder: Path, most: float = math.inf) -> None:
    """Read what references that were checked point to, where all of it together is at most so many bytes.

    Else each of them becomes a tensor that is mapped into memory when it is read, and no longer: a mapping takes a file
    descriptor and address space, and a job may have less of both than a model has weights.

    Raises:
        UnreadableModel: a file ends before its weight does.
    """
    found = [
        (value, value.const_value)
        for graph in (model.graph, *model.graph.subgraphs())
        for value in graph.initializers.values()
        if isinstance(value.const_value, ir.ExternalTensor)
    ]
    mapped = sum(tensor.nbytes for _, tensor in found) > most
    for value, tensor in found:
        tensor.meta[_OUTSIDE] = True
        if tensor.dtype.bitwidth >= 8 and tensor.size:
            read = _reader(tensor, folder / str(tensor.location))
            value.const_value = (
                ir.LazyTensor(read, tensor.dtype, ir.Shape(tensor.shape.numpy()), name=tensor.name)
                if mapped
                else ir.Tensor(read().numpy().copy(), dtype=tensor.dtype, name=tensor.name)
            )
            value.const_value.meta[_OUTSIDE] = True


def lies_outside(tensor: ir.TensorProtocol | None) -> bool:
    """Whether the tensor came from another file than the model."""
    return tensor is not None and bool(tensor.meta.get(_OUTSIDE))


def _reader(tensor: ir.ExternalTensor, path: Path) -> Callable[[], ir.TensorProtocol]:
    """A function that maps the tensor; its pages may be written to, and are then the process's own."""
    start, size, shape = tensor.offset or 0, tensor.nbytes, tensor.shape.numpy()
    there = min(path.stat().st_size - start, size)
    if there != size or tensor.length not in (None, 0, size):
        raise UnreadableModel(f"weight {tensor.name!r} has {size} bytes; {there} are there")

    def read() -> ir.TensorProtocol:
        data = np.memmap(path, np.uint8, "c", start, (size,))
        return ir.Tensor(data.view(tensor.dtype.numpy()).reshape(shape), dtype=tensor.dtype, name=tensor.name)

    return read
