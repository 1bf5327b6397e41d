"""External data of an ONNX file: weights that lie in other files.

The references are untrusted: each is checked before a file is opened.
"""

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import onnx
import onnx_ir as ir

from quant.errors import MissingExternalData, UnreadableModel, UnsafeModel

_KEYS = frozenset({"location", "offset", "length", "checksum", "basepath"})
_EXTERNAL = "quantd.external"


def check_external(tensor: onnx.TensorProto, folder: Path | None) -> None:
    """Check the reference of a tensor whose data lies in another file.

    Args:
        tensor: the tensor with its reference.
        folder: the folder of the model's file, or None for a model in memory.

    Raises:
        UnsafeModel: the file lies outside the folder, or is a link or folder.
        MissingExternalData: the file does not exist.
        UnreadableModel: the reference is damaged, or the file is too short.
    """
    label = f"weight {tensor.name!r}"
    entries = _entries(tensor, label)
    location = entries["location"]
    path = PurePosixPath(location)
    if path.is_absolute() or ".." in path.parts or any(sign in location for sign in "\\\0:"):
        raise UnsafeModel(f"{label} lies in {location[:200]!r}, outside the model's folder; accepted: files beside it")
    if folder is None or not os.path.lexists(folder / path):
        raise MissingExternalData(
            f"{label} lies in another file, {location[:200]!r}, that was not uploaded; "
            "accepted: one ONNX file with its weights inside, or a zip or tar of the model with its external data"
        )
    file = folder / path
    if file.resolve() != folder.resolve() / path or not file.is_file():
        raise UnsafeModel(f"{label} lies in {location[:200]!r}, a link or folder; accepted: regular files")
    _check_extent(file, entries, label)


def _entries(tensor: onnx.TensorProto, label: str) -> dict[str, str]:
    """Return the keys and values of a reference, which has at least a location."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    not_utf8 = any(isinstance(text, bytes) for pair in entries.items() for text in pair)
    repeated = len(entries) != len(tensor.external_data)
    if not_utf8 or repeated or set(entries) - _KEYS or not entries.get("location"):
        raise UnreadableModel(
            f"{label} has a damaged reference to external data; accepted: a location, and once each of "
            f"{', '.join(sorted(_KEYS - {'location'}))}"
        )
    return entries


def _check_extent(file: Path, entries: dict[str, str], label: str) -> None:
    offset, length = entries.get("offset", "0"), entries.get("length", "0")
    if not all(number.isascii() and number.isdigit() and len(number) < 19 for number in (offset, length)):
        raise UnreadableModel(f"{label} has the offset {offset[:50]!r} and length {length[:50]!r}; accepted: integers")
    size = file.stat().st_size
    if int(offset) + int(length) > size:
        raise UnreadableModel(
            f"{label} lies at bytes {offset} to {int(offset) + int(length)} of {file.name!r}, which has {size} bytes; "
            "accepted: the complete file"
        )


def read_external(model: ir.Model, folder: Path, max_read: float = math.inf) -> None:
    """Read the external data of a model whose references were checked, in place.

    If all of it together has more than `max_read` bytes, each weight becomes a tensor that is mapped into memory only
    while it is used: a mapping takes a file descriptor and address space, and a job may have less of both than a model
    has weights.

    Raises:
        UnreadableModel: a file ends before its weight does.
    """
    external = list(_external_values(model))
    is_mapped = sum(tensor.nbytes for _, tensor in external) > max_read
    for value, tensor in external:
        tensor.meta[_EXTERNAL] = True
        if tensor.dtype.bitwidth >= 8 and tensor.size:
            read = _reader(tensor, folder / str(tensor.location))
            value.const_value = (
                ir.LazyTensor(read, tensor.dtype, ir.Shape(tensor.shape.numpy()), name=tensor.name)
                if is_mapped
                else ir.Tensor(read().numpy().copy(), dtype=tensor.dtype, name=tensor.name)
            )
            value.const_value.meta[_EXTERNAL] = True


def is_external(tensor: ir.TensorProtocol | None) -> bool:
    """Return True if the tensor was read from another file than the model's."""
    return tensor is not None and bool(tensor.meta.get(_EXTERNAL))


def _external_values(model: ir.Model) -> Iterator[tuple[ir.Value, ir.ExternalTensor]]:
    for graph in (model.graph, *model.graph.subgraphs()):
        for value in graph.initializers.values():
            if isinstance(value.const_value, ir.ExternalTensor):
                yield value, value.const_value


def _reader(tensor: ir.ExternalTensor, path: Path) -> Callable[[], ir.TensorProtocol]:
    """Return a function that maps the tensor copy-on-write: writing to its pages leaves the file as it is."""
    start, size, shape = tensor.offset or 0, tensor.nbytes, tensor.shape.numpy()
    available = min(path.stat().st_size - start, size)
    if available != size or tensor.length not in (None, 0, size):
        raise UnreadableModel(
            f"weight {tensor.name!r} needs {size} bytes of external data, but {available} are available; "
            "accepted: the length that its shape and type need"
        )

    def read() -> ir.TensorProtocol:
        data = np.memmap(path, np.uint8, "c", start, (size,))
        return ir.Tensor(data.view(tensor.dtype.numpy()).reshape(shape), dtype=tensor.dtype, name=tensor.name)

    return read
