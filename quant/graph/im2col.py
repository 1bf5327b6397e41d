"""A layer as matrix products: its weight as (groups, outputs, inputs), its input as the rows that these multiply."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.graph.inventory import Layer

Scalar = TypeVar("Scalar", bound=np.generic)


def weight_matrix(layer: Layer, array: NDArray[Scalar]) -> NDArray[Scalar] | None:
    """An array of the weight's shape as (G, O, K): O outputs of each of G groups, each a sum over K products.

    None for a weight that is no such matrix: a batch of MatMul weights, a recurrent layer's, a table.
    """
    if layer.op == "Conv":
        groups = _groups(layer.node)
        return array.reshape(groups, array.shape[0] // groups, -1)
    if layer.op not in ("ConvTranspose", "Gemm", "MatMul"):
        return None
    if layer.op == "ConvTranspose":
        groups = _groups(layer.node)
        split = array.reshape(groups, array.shape[0] // groups, array.shape[1], -1)
        return np.moveaxis(split, 2, 1).reshape(groups, array.shape[1], -1)
    if array.ndim != 2:
        return None
    return (array if layer.axis == 0 else array.T)[None]


def from_weight_matrix(layer: Layer, matrix: NDArray[Scalar]) -> NDArray[Scalar]:
    """The inverse of `weight_matrix`: (G, O, K) in the weight's own shape."""
    places = weight_matrix(layer, np.arange(layer.size).reshape(layer.shape))
    assert places is not None, "there is no matrix to come back from"
    flat = np.empty(layer.size, matrix.dtype)
    flat[places.reshape(-1)] = matrix.reshape(-1)
    return flat.reshape(layer.shape)


def input_rows(layer: Layer, value: NDArray[np.float32], limit: int, seed: int) -> NDArray[np.float32]:
    """What the weight matrix multiplies in one batch, (G, n, K) with n at most `limit`: positions drawn by `seed`."""
    if layer.op in ("Conv", "ConvTranspose"):
        return _patches(layer, value, limit, seed)
    if layer.op == "Gemm":
        rows = value.T if layer.node.attributes.get_int("transA", 0) else value
    elif layer.weight_index == 0:  # W x: the columns of x
        rows = np.moveaxis(value, -2, -1) if value.ndim > 1 else value
    else:
        rows = value
    rows = rows.reshape(-1, rows.shape[-1])
    return rows[_draw(len(rows), limit, seed)][None]


@dataclass(frozen=True)
class Window:
    """The geometry of one spatial axis of a convolution."""

    kernel: int
    stride: int
    dilation: int
    before: int
    after: int

    def outputs(self, size: int) -> int:
        return (size + self.before + self.after - self.dilation * (self.kernel - 1) - 1) // self.stride + 1

    def places(self, positions: NDArray[np.intp]) -> NDArray[np.intp]:
        """What an output (n,) is computed from (n, kernel); below 0 and beyond the size lies the padding."""
        places: NDArray[np.intp] = positions[:, None] * self.stride - self.before
        return places + np.arange(self.kernel) * self.dilation


def _patches(layer: Layer, value: NDArray[np.float32], limit: int, seed: int) -> NDArray[np.float32]:
    """im2col at some output positions; a ConvTranspose is a convolution of the input with zeros between its samples."""
    spatial = layer.shape[2:]
    if layer.op == "ConvTranspose":
        value = _spread(value, _ints(layer.node, "strides", len(spatial), 1))
    windows, sizes = windows_of(layer, value.shape[2:]), value.shape[2:]
    counts = [w.outputs(size) for w, size in zip(windows, sizes, strict=True)]
    drawn = _draw(len(value) * int(np.prod(counts)), limit, seed)
    sample, *position = np.unravel_index(drawn, (len(value), *counts))
    places = [w.places(at) for w, at in zip(windows, position, strict=True)]
    inside = [(place >= 0) & (place < size) for place, size in zip(places, sizes, strict=True)]
    at = [
        _along(np.clip(place, 0, size - 1), axis, len(sizes))
        for axis, (place, size) in enumerate(zip(places, sizes, strict=True))
    ]
    picked: tuple[Any, ...] = (_along(sample[:, None], 0, len(sizes)), slice(None), *at)
    patches = value[picked]  # (n, kernel.., C): the axes of the index come first
    for axis, ones in enumerate(inside):
        if not ones.all():
            patches *= _along(ones, axis, len(sizes))[..., None]
    if layer.op == "ConvTranspose":  # each weight meets the input that it is spread from: mirrored
        patches = np.flip(patches, axis=tuple(range(1, patches.ndim - 1)))
    groups = _groups(layer.node)
    rows = np.moveaxis(patches, -1, 1).reshape(len(drawn), groups, -1)
    return np.ascontiguousarray(rows.swapaxes(0, 1))


def _along(places: NDArray[Scalar], axis: int, rank: int) -> NDArray[Scalar]:
    """Places (n, k) along one of the kernel's axes, to be broadcast to (n, kernel..)."""
    return places.reshape(len(places), *[1] * axis, -1, *[1] * (rank - 1 - axis))


def windows_of(layer: Layer, sizes: Sequence[int]) -> list[Window]:
    node, kernels = layer.node, layer.shape[2:]
    rank = len(kernels)
    dilations = _ints(node, "dilations", rank, 1)
    strides = [1] * rank if layer.op == "ConvTranspose" else _ints(node, "strides", rank, 1)
    pads = _ints(node, "pads", 2 * rank, 0)
    windows = []
    for axis, (kernel, stride, dilation) in enumerate(zip(kernels, strides, dilations, strict=True)):
        extent = dilation * (kernel - 1)
        before, after = pads[axis], pads[rank + axis]
        if layer.op == "ConvTranspose":
            before, after = extent - before, extent - after
        elif node.attributes.get_string("auto_pad", "NOTSET").startswith("SAME"):
            missing = max((-(-sizes[axis] // stride) - 1) * stride + extent + 1 - sizes[axis], 0)
            upper = node.attributes.get_string("auto_pad") == "SAME_UPPER"
            before = missing // 2 if upper else missing - missing // 2
            after = missing - before
        windows.append(Window(kernel, stride, dilation, max(before, 0), max(after, 0)))
    return windows


def _spread(value: NDArray[np.float32], strides: Sequence[int]) -> NDArray[np.float32]:
    sizes = [(size - 1) * stride + 1 for size, stride in zip(value.shape[2:], strides, strict=True)]
    spread = np.zeros((*value.shape[:2], *sizes), value.dtype)
    spread[_every(strides)] = value
    return spread


def _every(steps: Sequence[int]) -> tuple[Any, ...]:
    """The index of every n-th entry along each of the last axes."""
    return (..., *(slice(None, None, step) for step in steps))


def _draw(count: int, limit: int, seed: int) -> NDArray[np.intp]:
    if count <= limit:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, limit, replace=False))


def _ints(node: ir.Node, name: str, count: int, default: int) -> list[int]:
    return list(node.attributes.get_ints(name, [default] * count))


def _groups(node: ir.Node) -> int:
    return int(node.attributes.get_int("group", 1))
