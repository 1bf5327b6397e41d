"""How the pair of a float tensor and its quantized counterpart passes an operator that is no layer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, prod, sqrt
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.error_bounds.intervals import Array, Box, ErrorInterval
from quant.graph.constants import constant


class Unbounded(Exception):
    """A node that no bound can pass; the message says why."""


@dataclass(frozen=True)
class Passage:
    """A node with its operands' pairs, the shapes of these and of its output, batch axis included, and what integer
    operands were when the model ran."""

    node: ir.Node
    operand: Callable[[int], ErrorInterval]
    shape: Callable[[int], tuple[int, ...]]
    after: tuple[int, ...]
    integers: Mapping[str, NDArray[Any]]

    @property
    def before(self) -> tuple[int, ...]:
        return self.shape(0)

    def full(self, index: int) -> ErrorInterval:
        """An operand whose boxes have its own shape."""
        shape = self.shape(index)[1:]
        return self.operand(index).moved(lambda ends: np.broadcast_to(ends, shape))

    def constant(self, index: int) -> NDArray[Any] | None:
        """None where there is no such operand.

        Raises:
            Unbounded: it depends on the input.
        """
        value = self.node.inputs[index] if index < len(self.node.inputs) else None
        if value is None:
            return None
        array = constant(value)
        array = self.integers.get(str(value.name)) if array is None else array
        if array is None:
            raise Unbounded("an operand that says how depends on the input")
        return array


def _relu(passage: Passage) -> ErrorInterval:
    return passage.operand(0).clipped(0.0, np.inf)


def _clip(passage: Passage) -> ErrorInterval:
    low, high = (passage.constant(index) for index in (1, 2))
    return passage.operand(0).clipped(-np.inf if low is None else float(low), np.inf if high is None else float(high))


def _least(passage: Passage) -> ErrorInterval:
    return _against_constant(passage, lambda pair, bound: pair.clipped(-np.inf, bound))


def _greatest(passage: Passage) -> ErrorInterval:
    return _against_constant(passage, lambda pair, bound: pair.clipped(bound, np.inf))


def _scaled(passage: Passage) -> ErrorInterval:
    def scale(pair: ErrorInterval, factor: Array) -> ErrorInterval:
        largest = float(np.abs(factor).max())
        return ErrorInterval(
            pair.value.times(factor), pair.change.times(factor), largest * pair.size, largest * pair.error
        )

    return _against_constant(passage, scale)


def _against_constant(passage: Passage, act: Callable[[ErrorInterval, Array], ErrorInterval]) -> ErrorInterval:
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
    axes = tuple(range(1, len(passage.before) - 1))
    factor = 1 / sqrt(prod(passage.before[2:]))
    return _smaller(passage.operand(0).moved(lambda ends: ends.mean(axis=axes, keepdims=True)), factor)


def _average(passage: Passage) -> ErrorInterval:
    """The mean of a window, whose 2-norm is that of (1 / n, ..., 1 / n) where windows do not overlap."""
    kernel, overlap = _windows(passage)
    pair = _pooled(passage)
    if any(passage.node.attributes.get_ints("pads", [0])) or "auto_pad" in passage.node.attributes:
        return _smaller(pair.with_zero(), sqrt(overlap))
    return _smaller(pair, sqrt(overlap / kernel))


def _largest(passage: Passage) -> ErrorInterval:
    return _smaller(_pooled(passage), sqrt(_windows(passage)[1]))


def _pooled(passage: Passage) -> ErrorInterval:
    return passage.operand(0).gathered(tuple(range(1, len(passage.before) - 1)), keepdims=True)


def _windows(passage: Passage) -> tuple[int, int]:
    """Positions in a window, and in how many windows a position is at most."""
    kernel = passage.node.attributes.get_ints("kernel_shape", [])
    strides = passage.node.attributes.get_ints("strides", [1] * len(kernel))
    if any(dilation != 1 for dilation in passage.node.attributes.get_ints("dilations", [1])):
        return prod(kernel), prod(kernel)
    return prod(kernel), prod(ceil(size / stride) for size, stride in zip(kernel, strides, strict=True))


def _smaller(pair: ErrorInterval, factor: float) -> ErrorInterval:
    return replace(pair, size=pair.size * factor, error=pair.error * factor)


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
    pairs = [passage.full(index) for index in range(len(passage.node.inputs))]

    def joined(boxes: Sequence[Box]) -> Box:
        return Box(*(np.concatenate(ends, axis=axis - 1) for ends in ([b.low for b in boxes], [b.high for b in boxes])))

    return ErrorInterval(
        joined([pair.value for pair in pairs]),
        joined([pair.change for pair in pairs]),
        sqrt(sum(pair.size**2 for pair in pairs)),
        sqrt(sum(pair.error**2 for pair in pairs)),
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
    pair = passage.operand(0)
    if all(pair.value.low.shape[axis] == 1 for axis in np.flatnonzero(widths[1:].any(axis=1))):
        return pair.with_zero()  # one range for all positions, the borders among them
    return passage.full(0).moved(lambda ends: np.pad(ends, widths[1:]))


def _sliced(passage: Passage) -> ErrorInterval:
    starts, ends, axes, steps = (passage.constant(index) for index in (1, 2, 3, 4))
    if starts is None or ends is None:
        raise Unbounded("where it cuts is computed at run time")
    rank = len(passage.before)
    along = np.arange(len(starts)) if axes is None else axes % rank
    by = np.ones(len(starts), np.int64) if steps is None else steps
    if 0 in along or (by < 0).any():
        raise Unbounded("it takes some of the samples, or backwards")
    window = [slice(None)] * (rank - 1)
    for axis, start, end, step in zip(along, starts, ends, by, strict=True):
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
"""By operator; what is not here ends a bound."""
