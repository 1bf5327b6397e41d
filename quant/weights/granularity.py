"""What shares one scale: the whole tensor, one channel, or a block of a channel."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class PerTensor:
    """One scale for the tensor: (64, 3, 7, 7) is 1 row of 9408."""

    def rows(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        return array.reshape(1, -1)

    def restore(self, rows: NDArray[Scalar], shape: tuple[int, ...]) -> NDArray[Scalar]:
        return rows.reshape(shape)


@dataclass(frozen=True)
class PerChannel:
    """One scale a channel along `axis`: (64, 3, 7, 7) along 0 is 64 rows of 147."""

    axis: int

    def rows(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        moved = np.moveaxis(array, self.axis, 0)
        return np.ascontiguousarray(moved).reshape(moved.shape[0], -1)

    def restore(self, rows: NDArray[Scalar], shape: tuple[int, ...]) -> NDArray[Scalar]:
        moved = (shape[self.axis], *shape[: self.axis], *shape[self.axis + 1 :])
        return np.ascontiguousarray(np.moveaxis(rows.reshape(moved), 0, self.axis))


@dataclass(frozen=True)
class PerBlock:
    """One scale for every `size` weights along `axis`: (100, 64) along 0 in blocks of 32 is 4 * 64 rows of 32.

    The last block of an axis that is no multiple of `size` is filled up with zeros, which every fit leaves out.
    """

    axis: int
    size: int

    def rows(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        moved = np.moveaxis(array, self.axis, -1)
        missing = -moved.shape[-1] % self.size
        padded = np.pad(moved, [(0, 0)] * (moved.ndim - 1) + [(0, missing)])
        return np.ascontiguousarray(padded).reshape(-1, self.size)

    def restore(self, rows: NDArray[Scalar], shape: tuple[int, ...]) -> NDArray[Scalar]:
        others = (*shape[: self.axis], *shape[self.axis + 1 :])
        moved = rows.reshape(*others, -1)[..., : shape[self.axis]]
        return np.ascontiguousarray(np.moveaxis(moved, -1, self.axis))

    def restore_scale(self, scale: NDArray[Scalar], shape: tuple[int, ...]) -> NDArray[Scalar]:
        """Scales of the rows (R,) in the weight's shape with `axis` counted in blocks."""
        others = (*shape[: self.axis], *shape[self.axis + 1 :])
        return np.ascontiguousarray(np.moveaxis(scale.reshape(*others, -1), -1, self.axis))


Granularity = PerTensor | PerChannel | PerBlock
