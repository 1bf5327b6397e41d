"""Granularity: the weights that share one scale, which are a row.

A row is the whole tensor, a channel, a channel of one matrix of a stack, or a block of a channel.
"""

import math
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
class PerMatrixChannel:
    """One scale for each channel of each matrix in a stack of matrices.

    A batch of matrices with the shape (8, 64, 32) along the axes 0 and 2 is 8 * 32 rows of 64. The kernel of a
    ConvTranspose with 4 groups, of shape (16, 2, 3, 3), is split into (4, 4, 2, 3, 3); along the axes 0 and 2 of that
    it is 4 * 2 rows of 36.

    Attributes:
        axes: the axes of the split weight along which scales differ, ascending.
        groups: the number of equal parts that the first axis is split into, which become an axis before it; None if it
            is not split.
    """

    axes: tuple[int, ...]
    groups: int | None = None

    def rows(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        """Return an array of the weight's shape as rows (R, n), in the order of `axes`."""
        split = array.reshape(self.split(array.shape))
        moved = np.moveaxis(split, self.axes, range(len(self.axes)))
        return np.ascontiguousarray(moved).reshape(math.prod(moved.shape[: len(self.axes)]), -1)

    def restore(self, rows: NDArray[Scalar], shape: tuple[int, ...]) -> NDArray[Scalar]:
        """Return rows (R, n) in the weight's shape."""
        split = self.split(shape)
        moved = rows.reshape([split[axis] for axis in self.order(len(split))])
        return np.ascontiguousarray(np.moveaxis(moved, range(len(self.axes)), self.axes)).reshape(shape)

    def restore_scale(self, scale: NDArray[Scalar], shape: tuple[int, ...]) -> NDArray[Scalar]:
        """Return the scales (R,) as an array that broadcasts to the split weight: (8, 1, 32) in the first example."""
        split = self.split(shape)
        return scale.reshape([size if axis in self.axes else 1 for axis, size in enumerate(split)])

    def split(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape with its first axis split into `groups` parts."""
        return shape if self.groups is None else (self.groups, shape[0] // self.groups, *shape[1:])

    def row_count(self, shape: tuple[int, ...]) -> int:
        """Return the number of rows of a weight."""
        split = self.split(shape)
        return math.prod(split[axis] for axis in self.axes)

    def order(self, ndim: int) -> tuple[int, ...]:
        """Return the axes of the split weight, of which there are `ndim`, in the order of the rows."""
        return (*self.axes, *(axis for axis in range(ndim) if axis not in self.axes))


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

    def rows_of_scale(self, scale: NDArray[Scalar]) -> NDArray[Scalar]:
        """Return scales in the weight's shape, with `axis` counted in blocks, as (R,): reverse `restore_scale`."""
        return np.moveaxis(scale, self.axis, -1).reshape(-1)


Granularity = PerTensor | PerChannel | PerMatrixChannel | PerBlock
