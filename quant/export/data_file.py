"""The file beside an exported model that holds its large tensors, written one after the other and never read back."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.digests import FileDigest

PAGE = 4096
"""Every tensor starts at a multiple, so that a consumer can map it."""
LEAST = 1024
"""Bytes; what is no larger stays in the model."""
PART = 1 << 18
"""Elements of a byte that are packed, hashed and written at once: small for the cache."""


class DataFile:
    """`path`, new, to be appended to; within a `with`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("xb")
        self._digest, self._size = hashlib.sha256(), 0

    @property
    def stored(self) -> FileDigest:
        """What was written so far."""
        return FileDigest(self._size, self._digest.hexdigest())

    def move(self, values: Iterable[ir.Value]) -> None:
        """Write the tensors of these initializers, where they are large and not there yet, and refer to them."""
        for value in values:
            tensor = value.const_value
            if tensor is None or tensor.dtype == ir.DataType.STRING or tensor.nbytes <= LEAST:
                continue
            if not (isinstance(tensor, ir.ExternalTensor) and Path(tensor.path) == self.path):
                value.const_value = self._append(tensor)

    def _append(self, tensor: ir.TensorProtocol) -> ir.ExternalTensor:
        self._write(bytes(-self._size % PAGE))
        offset, shape = self._size, ir.Shape(tensor.shape.numpy())
        for part in _parts(tensor):
            self._write(part)
        return ir.ExternalTensor(
            self.path.name,
            offset,
            self._size - offset,
            tensor.dtype,
            shape=shape,
            name=str(tensor.name),
            base_dir=self.path.parent,
        )

    def _write(self, data: bytes | memoryview) -> None:
        self._file.write(data)
        self._digest.update(data)
        self._size += len(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _parts(tensor: ir.TensorProtocol) -> Iterator[bytes | memoryview]:
    """What a file holds of it, without a copy of all of it where the type has 4 bits or whole bytes."""
    width = tensor.dtype.bitwidth
    if width < 8 and width != 4:
        yield tensor.tobytes()
        return
    data = np.ascontiguousarray(tensor.numpy()).reshape(-1).view(np.uint8)
    for start in range(0, data.size, PART):
        part = data[start : start + PART]
        yield (_packed(part) if width == 4 else part).data


def _packed(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Two 4-bit codes a byte, the first one in its lower half; what is left is filled up with zero."""
    pairs = np.append(codes, np.uint8(0)) if codes.size % 2 else codes
    both = pairs.view("<u2")
    return ((both & 0x0F) | (both >> 4 & 0xF0)).astype(np.uint8)
