"""The data file of an exported model: its large tensors, which are written once, in order, and never read back."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.digests import FileDigest

ALIGNMENT = 4096
"""Every tensor starts at a multiple of so many bytes, so that a consumer can map it into memory."""
MAX_INLINE_BYTES = 1024
"""A tensor of at most so many bytes stays in the model."""
CHUNK = 1 << 18
"""The number of one-byte elements that are packed, hashed and written at a time; they fit the processor's cache."""


class DataFile:
    """A new file at `path` that tensors are appended to; use it in a `with` statement."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("xb")
        self._digest, self._size = hashlib.sha256(), 0

    @property
    def digest(self) -> FileDigest:
        """The size and the SHA-256 of the bytes that were written so far."""
        return FileDigest(self._size, self._digest.hexdigest())

    def move(self, values: Iterable[ir.Value]) -> None:
        """Append the large tensors of these initializers to the file, and let the initializers refer to it.

        Small tensors, strings and tensors that are in the file already stay as they are.
        """
        for value in values:
            tensor = value.const_value
            if tensor is None or tensor.dtype == ir.DataType.STRING or tensor.nbytes <= MAX_INLINE_BYTES:
                continue
            if not (isinstance(tensor, ir.ExternalTensor) and Path(tensor.path) == self.path):
                value.const_value = self._append(tensor)

    def _append(self, tensor: ir.TensorProtocol) -> ir.ExternalTensor:
        """Write a tensor at the next aligned offset and return the reference to it."""
        self._write(bytes(-self._size % ALIGNMENT))
        offset, shape = self._size, ir.Shape(tensor.shape.numpy())
        for chunk in _chunks(tensor):
            self._write(chunk)
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


def _chunks(tensor: ir.TensorProtocol) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a tensor; only a type of 1 or 2 bits is copied as a whole."""
    width = tensor.dtype.bitwidth
    if width < 8 and width != 4:
        yield tensor.tobytes()
        return
    data = np.ascontiguousarray(tensor.numpy()).reshape(-1).view(np.uint8)
    for start in range(0, data.size, CHUNK):
        chunk = data[start : start + CHUNK]
        yield (_pack_pairs(chunk) if width == 4 else chunk).data


def _pack_pairs(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return 4-bit codes (n,) as bytes: the first of two codes in the lower half, a zero after an odd last code."""
    pairs = np.append(codes, np.uint8(0)) if codes.size % 2 else codes
    both = pairs.view("<u2")
    return ((both & 0x0F) | (both >> 4 & 0xF0)).astype(np.uint8)
