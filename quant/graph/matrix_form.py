"""Layers as matrix products: a weight as a matrix, an input as the rows that the matrix multiplies.

A weight of G groups becomes an array (G, O, K): O outputs per group, each a sum over K products. An input becomes an
array (G, n, K) of n rows, so that `rows @ matrix.swapaxes(1, 2)` is the layer's output at n positions.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


class MatrixForm(ABC):
    """A kind of layer, written as a matrix product."""

    @abstractmethod
    def matrix(self, node: ir.Node, array: NDArray[Scalar], axis: int) -> NDArray[Scalar] | None:
        """Return an array of the weight's shape as (G, O, K), or None if the weight is a batch of matrices.

        Args:
            node: the layer's node.
            array: any array with the shape of the weight.
            axis: the array's axis of output channels.
        """

    @abstractmethod
    def rows(
        self, node: ir.Node, kernel: Sequence[int], value: NDArray[np.float32], limit: int, seed: int
    ) -> NDArray[np.float32]:
        """Return at most `limit` rows (G, n, K) of one batch of the input, drawn by `seed` if there are more.

        Args:
            node: the layer's node.
            kernel: the spatial shape of the weight; empty for a plain product.
            value: the input tensor, batch axis included.
            limit: the largest number of rows n.
            seed: the seed of the draw.
        """


@dataclass(frozen=True)
class Product(MatrixForm):
    """A product with one constant matrix; `weight_on_left` says on which side of the input it stands."""

    weight_on_left: bool = False

    def matrix(self, node: ir.Node, array: NDArray[Scalar], axis: int) -> NDArray[Scalar] | None:
        """Return a matrix as (1, O, K), or None for a batch of matrices."""
        if array.ndim != 2:
            return None
        return (array if axis == 0 else array.T)[None]

    def rows(
        self, node: ir.Node, kernel: Sequence[int], value: NDArray[np.float32], limit: int, seed: int
    ) -> NDArray[np.float32]:
        """Return rows of the input, which is transposed where the product sums over another axis than its last."""
        transposed = node.attributes.get_int("transB" if self.weight_on_left else "transA", 0)  # attributes of Gemm
        if bool(transposed) != self.weight_on_left and value.ndim > 1:  # in W x the columns of x are multiplied
            value = np.moveaxis(value, -2, -1)
        rows = value.reshape(-1, value.shape[-1])
        return rows[draw(len(rows), limit, seed)][None]


class Recurrent(MatrixForm):
    """LSTM, GRU and RNN: a matrix for each direction, applied to every step of a sequence.

    The inputs of a sequence are (T, N, K), and the same for all directions. Its states are (T, D, N, K) with D
    directions, so each direction has rows of its own. With the attribute `layout`, N is the first axis.
    """

    def matrix(self, node: ir.Node, array: NDArray[Scalar], axis: int) -> NDArray[Scalar] | None:
        """Return a weight (D, gates * hidden, K) as it is."""
        return array

    def rows(
        self, node: ir.Node, kernel: Sequence[int], value: NDArray[np.float32], limit: int, seed: int
    ) -> NDArray[np.float32]:
        """Return rows of the inputs or of the states."""
        if value.ndim == 4:
            direction = 2 if node.attributes.get_int("layout", 0) else 1
            rows = np.moveaxis(value, direction, 0).reshape(value.shape[direction], -1, value.shape[-1])
        else:
            directions = 2 if node.attributes.get_string("direction", "forward") == "bidirectional" else 1
            rows = np.broadcast_to(
                value.reshape(-1, value.shape[-1]), (directions, value[..., 0].size, value.shape[-1])
            )
        return np.ascontiguousarray(rows[:, draw(rows.shape[1], limit, seed)])


@dataclass(frozen=True)
class Window:
    """The geometry of a convolution along one spatial axis; `before` and `after` count the zeros around the input."""

    kernel: int
    stride: int
    dilation: int
    before: int
    after: int

    def outputs(self, size: int) -> int:
        """Return the number of output positions for an input of `size` positions."""
        return (size + self.before + self.after - self.dilation * (self.kernel - 1) - 1) // self.stride + 1

    def inputs_of(self, positions: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the input positions (n, kernel) that output positions (n,) read; positions outside are padding."""
        starts: NDArray[np.intp] = positions[:, None] * self.stride - self.before
        return starts + np.arange(self.kernel) * self.dilation


class Convolution(MatrixForm):
    """Conv: the kernel slides over the input, and each position gives one row (im2col)."""

    def matrix(self, node: ir.Node, array: NDArray[Scalar], axis: int) -> NDArray[Scalar] | None:
        """Return a kernel (outputs, inputs / G, *kernel) as (G, O, K)."""
        groups = group_count(node)
        return array.reshape(groups, array.shape[0] // groups, -1)

    def windows(self, node: ir.Node, kernel: Sequence[int], sizes: Sequence[int]) -> list[Window]:
        """Return the window of each spatial axis for an input of these spatial sizes."""
        rank = len(kernel)
        strides, dilations = _ints(node, "strides", rank, 1), _ints(node, "dilations", rank, 1)
        pads = _pads(node, kernel, sizes)
        return [
            Window(kernel[i], strides[i], dilations[i], max(pads[i][0], 0), max(pads[i][1], 0)) for i in range(rank)
        ]

    def rows(
        self, node: ir.Node, kernel: Sequence[int], value: NDArray[np.float32], limit: int, seed: int
    ) -> NDArray[np.float32]:
        """Return the windows of output positions, each as a row."""
        patches = _patches(value, self.windows(node, kernel, value.shape[2:]), limit, seed)
        return _grouped(patches, group_count(node))


class TransposedConvolution(Convolution):
    """ConvTranspose: a convolution of the input with zeros between its samples, by the mirrored kernel."""

    def matrix(self, node: ir.Node, array: NDArray[Scalar], axis: int) -> NDArray[Scalar] | None:
        """Return a kernel (inputs, outputs / G, *kernel) as (G, O, K)."""
        groups, outputs = group_count(node), array.shape[1]
        split = array.reshape(groups, array.shape[0] // groups, outputs, -1)
        return np.moveaxis(split, 2, 1).reshape(groups, outputs, -1)

    def windows(self, node: ir.Node, kernel: Sequence[int], sizes: Sequence[int]) -> list[Window]:
        """Return the window of each spatial axis over the spread input, for any size of it."""
        rank = len(kernel)
        dilations, pads = _ints(node, "dilations", rank, 1), _ints(node, "pads", 2 * rank, 0)
        windows = []
        for axis, (size, dilation) in enumerate(zip(kernel, dilations, strict=True)):
            extent = dilation * (size - 1)
            before, after = extent - pads[axis], extent - pads[rank + axis]
            windows.append(Window(size, 1, dilation, max(before, 0), max(after, 0)))
        return windows

    def rows(
        self, node: ir.Node, kernel: Sequence[int], value: NDArray[np.float32], limit: int, seed: int
    ) -> NDArray[np.float32]:
        """Return the windows of the spread input, mirrored as the kernel is."""
        spread = _spread(value, _ints(node, "strides", len(kernel), 1))
        patches = _patches(spread, self.windows(node, kernel, spread.shape[2:]), limit, seed)
        mirrored = np.flip(patches, axis=tuple(range(1, patches.ndim - 1)))
        return _grouped(mirrored, group_count(node))


def group_count(node: ir.Node) -> int:
    """Return the number of groups that a convolution's channels are split into."""
    return int(node.attributes.get_int("group", 1))


def _pads(node: ir.Node, kernel: Sequence[int], sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Return the number of zeros before and after the input along each axis of a Conv, `auto_pad` resolved."""
    rank, automatic = len(kernel), node.attributes.get_string("auto_pad", "NOTSET")
    if not automatic.startswith("SAME"):
        pads = _ints(node, "pads", 2 * rank, 0)
        return list(zip(pads[:rank], pads[rank:], strict=True))
    strides, dilations = _ints(node, "strides", rank, 1), _ints(node, "dilations", rank, 1)
    borders = []
    for size, length, stride, dilation in zip(kernel, sizes, strides, dilations, strict=True):
        total = max((-(-length // stride) - 1) * stride + dilation * (size - 1) + 1 - length, 0)
        smaller, larger = total // 2, total - total // 2
        borders.append((smaller, larger) if automatic == "SAME_UPPER" else (larger, smaller))
    return borders


def _patches(value: NDArray[np.float32], windows: Sequence[Window], limit: int, seed: int) -> NDArray[np.float32]:
    """Return the input windows (n, *kernel, C) of at most `limit` output positions, zeros outside the input."""
    sizes = value.shape[2:]
    counts = [window.outputs(size) for window, size in zip(windows, sizes, strict=True)]
    drawn = draw(len(value) * int(np.prod(counts)), limit, seed)
    sample, *position = np.unravel_index(drawn, (len(value), *counts))
    places = [window.inputs_of(at) for window, at in zip(windows, position, strict=True)]
    indices = [
        _along(np.clip(place, 0, size - 1), axis, len(sizes))
        for axis, (place, size) in enumerate(zip(places, sizes, strict=True))
    ]
    selection: tuple[Any, ...] = (_along(sample[:, None], 0, len(sizes)), slice(None), *indices)
    patches: NDArray[np.float32] = value[selection]  # the axes of the indices come first: (n, *kernel, C)
    for axis, (place, size) in enumerate(zip(places, sizes, strict=True)):
        inside = (place >= 0) & (place < size)
        if not inside.all():
            patches *= _along(inside, axis, len(sizes))[..., None]
    return patches


def _grouped(patches: NDArray[np.float32], groups: int) -> NDArray[np.float32]:
    """Return windows (n, *kernel, C) as rows (G, n, K), with K ordered as in the weight: channel, then kernel."""
    rows = np.moveaxis(patches, -1, 1).reshape(len(patches), groups, -1)
    return np.ascontiguousarray(rows.swapaxes(0, 1))


def _along(places: NDArray[Scalar], axis: int, rank: int) -> NDArray[Scalar]:
    """Return places (n, k) along one axis of the kernel in a shape that broadcasts to (n, *kernel)."""
    return places.reshape(len(places), *[1] * axis, -1, *[1] * (rank - 1 - axis))


def _spread(value: NDArray[np.float32], strides: Sequence[int]) -> NDArray[np.float32]:
    """Return the input with `stride - 1` zeros between neighbouring positions along each spatial axis."""
    sizes = [(size - 1) * stride + 1 for size, stride in zip(value.shape[2:], strides, strict=True)]
    spread = np.zeros((*value.shape[:2], *sizes), value.dtype)
    every_stride: tuple[Any, ...] = (..., *(slice(None, None, stride) for stride in strides))
    spread[every_stride] = value
    return spread


def draw(count: int, limit: int, seed: int) -> NDArray[np.intp]:
    """Return all of `count` numbers, or a sorted draw of `limit` of them."""
    if count <= limit:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, limit, replace=False))


def _ints(node: ir.Node, name: str, count: int, default: int) -> list[int]:
    return list(node.attributes.get_ints(name, [default] * count))
