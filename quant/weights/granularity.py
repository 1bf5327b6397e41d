"""Granularity: the weights that share one scale, which are a row. Either the tensor, a channel or a block of one."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class PerTensor:
    """One scale for the whole tensor: a weight of shape (64, 3, 7, 7) is 1 row of 9408."""

    def rows(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        """Return an array of the weight's shape as rows (1, n)."""
        return array.reshape(1, -1)

    def restore(self, rows: NDArray[Scalar], shape: tuple[int, ...]) -> NDArray[Scalar]:
        """Return rows (1, n) in the weight's shape."""
        return rows.reshape(shape)


@dataclass(frozen=True)
class PerChannel:
    """One scale for each channel along `axis`: a weight of shape (64, 3, 7, 7) along axis 0 is 64 rows of 147."""

    axis: int

    def rows(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        """Return an array of the weight's shape as rows (R, n), one for each channel."""
        moved = np.moveaxis(array, self.axis, 0)
        return np.ascontiguousarray(moved).reshape(moved.shape[0], -1)

    def restore(self, rows: NDArray[Scalar], shape: tuple[int, ...]) -> NDArray[Scalar]:
        """Return rows (R, n) in the weight's shape."""
        moved = (shape[self.axis], *shape[: self.axis], *shape[self.axis + 1 :])
        return np.ascontiguousarray(np.moveaxis(rows.reshape(moved), 0, self.axis))


@dataclass(frozen=True)
class PerBlock:
    """One scale for each block of `size` weights along `axis`.

    A weight of shape (100, 64) along axis 0 in blocks of 32 is 4 * 64 rows of 32. An incomplete last block is padded
    with zeros, which fits leave out.
    """

    axis: int
    size: int

    def rows(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        """Return an array of the weight's shape as rows (R, size), one for each block."""
        moved = np.moveaxis(array, self.axis, -1)
        missing = -moved.shape[-1] % self.size
        padded = np.pad(moved, [(0, 0)] * (moved.ndim - 1) + [(0, missing)])
        return np.ascontiguousarray(padded).reshape(-1, self.size)

    def restore(self, rows: NDArray[Scalar], shape: tuple[int, ...]) -> NDArray[Scalar]:
        """Return rows (R, size) in the weight's shape, without the padding."""
        others = (*shape[: self.axis], *shape[self.axis + 1 :])
        moved = rows.reshape(*others, -1)[..., : shape[self.axis]]
        return np.ascontiguousarray(np.moveaxis(moved, -1, self.axis))

    def restore_scale(self, scale: NDArray[Scalar], shape: tuple[int, ...]) -> NDArray[Scalar]:
        """Return the scales (R,) in the weight's shape with `axis` counted in blocks: (4, 64) in the example above."""
        others = (*shape[: self.axis], *shape[self.axis + 1 :])
        return np.ascontiguousarray(np.moveaxis(scale.reshape(*others, -1), -1, self.axis))


Granularity = PerTensor | PerChannel | PerBlock
