"""Rules that propagate an error interval through an operator without quantized weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod, sqrt
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.error_bounds.intervals import Array, Box, ErrorInterval
from quant.graph.constants import constant


class Unbounded(Exception):
    """Raised at a node that no bound can pass; the message is the reason."""


@dataclass(frozen=True)
class Passage:
    """A node with the error intervals of its operands.

    Attributes:
        node: the node.
        operand: returns the interval of the operand with this number; raises `Unbounded` if it has none.
        shape: returns the shape of the operand with this number, batch axis included.
        after: the shape of the output, batch axis included.
        integers: by name, the values of small integer tensors in a run of the float model.
    """

    node: ir.Node
    operand: Callable[[int], ErrorInterval]
    shape: Callable[[int], tuple[int, ...]]
    after: tuple[int, ...]
    integers: Mapping[str, NDArray[Any]]

    @property
    def before(self) -> tuple[int, ...]:
        """The shape of the first operand, batch axis included."""
        return self.shape(0)

    def full(self, index: int) -> ErrorInterval:
        """Return the interval of an operand with boxes of the operand's whole shape."""
        shape = self.shape(index)[1:]
        return self.operand(index).moved(lambda ends: np.broadcast_to(ends, shape))

    def constant(self, index: int) -> NDArray[Any] | None:
        """Return the value of a constant operand, or None if the node has no such operand.

        Raises:
            Unbounded: the operand depends on the input.
        """
        value = self.node.inputs[index] if index < len(self.node.inputs) else None
        if value is None:
            return None
        array = constant(value)
        array = self.integers.get(str(value.name)) if array is None else array
        if array is None:
            raise Unbounded("an operand that must be constant depends on the input")
        return array


def _relu(passage: Passage) -> ErrorInterval:
    return passage.operand(0).clipped(0.0, np.inf)


def _clip(passage: Passage) -> ErrorInterval:
    low, high = (passage.constant(index) for index in (1, 2))
    return passage.operand(0).clipped(-np.inf if low is None else float(low), np.inf if high is None else float(high))


def _least(passage: Passage) -> ErrorInterval:
    return _against_constant(passage, lambda interval, bound: interval.clipped(-np.inf, bound))


def _greatest(passage: Passage) -> ErrorInterval:
    return _against_constant(passage, lambda interval, bound: interval.clipped(bound, np.inf))


def _scaled(passage: Passage) -> ErrorInterval:
    def scale(interval: ErrorInterval, factor: Array) -> ErrorInterval:
        largest = float(np.abs(factor).max())
        value, change = interval.value.times(factor), interval.change.times(factor)
        return ErrorInterval(value, change, largest * interval.size, largest * interval.error)

    return _against_constant(passage, scale)


def _against_constant(passage: Passage, act: Callable[[ErrorInterval, Array], ErrorInterval]) -> ErrorInterval:
    """Return `act` of the operand that depends on the input and of the value of the constant one."""
    if len(passage.node.inputs) == 2:
        first, second = passage.operand(0), passage.operand(1)
        if second.is_exact:
            return act(first, second.value.low)
        if first.is_exact:
            return act(second, first.value.low)
    raise Unbounded("two tensors that both depend on the input")


def _sum(passage: Passage) -> ErrorInterval:
    first, second = passage.operand(0), passage.operand(1)
    return ErrorInterval(first.value.plus(second.value), first.change.plus(second.change),
                first.size + second.size, first.error + second.error)  # fmt: skip


def _difference(passage: Passage) -> ErrorInterval:
    first, second = passage.operand(0), passage.operand(1)
    return ErrorInterval(first.value.minus(second.value), first.change.minus(second.change),
                first.size + second.size, first.error + second.error)  # fmt: skip


def _same(passage: Passage) -> ErrorInterval:
    return passage.operand(0)


def _global_average(passage: Passage) -> ErrorInterval:
    """Return the interval of the means over all positions, whose 2-norm is 1 / sqrt(positions) of the input's."""
    axes = tuple(range(1, len(passage.before) - 1))
    means = passage.operand(0).moved(lambda ends: ends.mean(axis=axes, keepdims=True))
    return means.scaled_norms(1 / sqrt(prod(passage.before[2:])))


def _average(passage: Passage) -> ErrorInterval:
    """Return the interval of a window's means; without overlap the 2-norm of the means is that of (1/n, ..., 1/n)."""
    kernel, overlap = _windows(passage)
    pooled = _pooled(passage)
    if any(passage.node.attributes.get_ints("pads", [0])) or "auto_pad" in passage.node.attributes:
        return pooled.with_zero().scaled_norms(sqrt(overlap))
    return pooled.scaled_norms(sqrt(overlap / kernel))


def _largest(passage: Passage) -> ErrorInterval:
    return _pooled(passage).scaled_norms(sqrt(_windows(passage)[1]))


def _pooled(passage: Passage) -> ErrorInterval:
    """Return the input's interval with one range for each channel."""
    return passage.operand(0).gathered(tuple(range(1, len(passage.before) - 1)), keepdims=True)


def _windows(passage: Passage) -> tuple[int, int]:
    """Return the positions in a window, and the largest number of windows that one position is in."""
    kernel = passage.node.attributes.get_ints("kernel_shape", [])
    strides = passage.node.attributes.get_ints("strides", [1] * len(kernel))
    if any(dilation != 1 for dilation in passage.node.attributes.get_ints("dilations", [1])):
        return prod(kernel), prod(kernel)
    return prod(kernel), prod(ceil(size / stride) for size, stride in zip(kernel, strides, strict=True))


def _reshaped(passage: Passage) -> ErrorInterval:
    before, after = passage.before, passage.after
    if before[0] != after[0] or prod(before) != prod(after):
        raise Unbounded("it mixes the samples")
    return passage.full(0).moved(lambda ends: ends.reshape(after[1:]))


def _transposed(passage: Passage) -> ErrorInterval:
    order = passage.node.attributes.get_ints("perm", list(range(len(passage.before)))[::-1])
    if order[0] != 0:
        raise Unbounded("it moves the axis of the samples")
    return passage.full(0).moved(lambda ends: ends.transpose([axis - 1 for axis in order[1:]]))


def _joined(passage: Passage) -> ErrorInterval:
    axis = passage.node.attributes.get_int("axis", 0) % len(passage.after)
    if axis == 0:
        raise Unbounded("it joins samples")
    operands = [passage.full(index) for index in range(len(passage.node.inputs))]

    def join(boxes: Sequence[Box]) -> Box:
        low, high = ([box.low for box in boxes], [box.high for box in boxes])
        return Box(np.concatenate(low, axis=axis - 1), np.concatenate(high, axis=axis - 1))

    return ErrorInterval(
        join([operand.value for operand in operands]),
        join([operand.change for operand in operands]),
        sqrt(sum(operand.size**2 for operand in operands)),
        sqrt(sum(operand.error**2 for operand in operands)),
    )


def _padded(passage: Passage) -> ErrorInterval:
    pads, filling, axes = (passage.constant(index) for index in (1, 2, 3))
    zeros = passage.node.attributes.get_string("mode", "constant") == "constant"
    if pads is None or not zeros or (filling is not None and filling.any()) or (pads < 0).any():
        raise Unbounded("only borders of zeros are bounded")
    rank = len(passage.before)
    widths = np.zeros((rank, 2), np.int64)
    widths[np.arange(rank) if axes is None else axes % rank] = pads.reshape(2, -1).T
    if widths[0].any():
        raise Unbounded("it adds samples")
    source = passage.operand(0)
    if all(source.value.low.shape[axis] == 1 for axis in np.flatnonzero(widths[1:].any(axis=1))):
        return source.with_zero()  # one range holds for all positions, the borders included
    return passage.full(0).moved(lambda ends: np.pad(ends, widths[1:]))


def _sliced(passage: Passage) -> ErrorInterval:
    starts, ends, axes, steps = (passage.constant(index) for index in (1, 2, 3, 4))
    if starts is None or ends is None:
        raise Unbounded("its bounds are computed at run time")
    rank = len(passage.before)
    sliced = np.arange(len(starts)) if axes is None else axes % rank
    strides = np.ones(len(starts), np.int64) if steps is None else steps
    if 0 in sliced or (strides < 0).any():
        raise Unbounded("it selects samples, or steps backwards")
    window = [slice(None)] * (rank - 1)
    for axis, start, end, step in zip(sliced, starts, ends, strides, strict=True):
        window[axis - 1] = slice(int(start), int(end), int(step))
    return passage.full(0).moved(lambda whole: whole[tuple(window)])


RULES: Mapping[str, Callable[[Passage], ErrorInterval]] = {
    "Relu": _relu,
    "Clip": _clip,
    "Min": _least,
    "Max": _greatest,
    "Mul": _scaled,
    "Add": _sum,
    "Sub": _difference,
    "Identity": _same,
    "Dropout": _same,
    "GlobalAveragePool": _global_average,
    "AveragePool": _average,
    "MaxPool": _largest,
    "Flatten": _reshaped,
    "Reshape": _reshaped,
    "Squeeze": _reshaped,
    "Unsqueeze": _reshaped,
    "Transpose": _transposed,
    "Concat": _joined,
    "Pad": _padded,
    "Slice": _sliced,
}
"""By operator, the rule for a node without quantized weights; a bound ends at any other operator."""
