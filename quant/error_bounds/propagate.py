"""How far the quantized model's outputs can be from the float model's, for every input in the calibrated box.

Two bounds side by side, layer by layer: intervals of the pair (float, quantized), and 2-norms of the layers as
operators. Both hold in exact arithmetic, and on deep networks both are far from what is observed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod, sqrt
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.calibration.activation_ranges import ActivationRange
from quant.calibration.observers import session_with_outputs
from quant.data.dataset import Dataset
from quant.error_bounds.intervals import Array, Box, ErrorInterval
from quant.error_bounds.operator_norms import Geometry, convolution_norm, matrix_norm
from quant.error_bounds.operator_rules import RULES, Passage, Unbounded
from quant.graph.constants import constant
from quant.graph.im2col import weight_matrix
from quant.graph.inventory import Layer, inventory
from quant.graph.matrix_form import Convolution
from quant.graph.operators import is_add, is_dequantize, operator_of
from quant.graph.weightless import Weightless
from quant.weights.layers import QuantizedLayer
from quant.weights.quantize import decoded

SAMPLES = 2
"""Samples of the calibration set that show each output's range, one after the other: all activations are held."""
WORK = 2e9
"""Multiplications for the norms of all layers together."""
FEW = 64
"""A tensor of so many integers may be one of sizes, axes or borders."""


@dataclass(frozen=True)
class Bound:
    """The largest error of any element of a tensor by intervals, and the 2-norm of a sample's error by operator norms;
    `spread` is the observed range of the float tensor's values, `norm` the largest observed 2-norm of a sample."""

    interval: float
    operator_norm: float
    spread: float
    norm: float

    def described(self) -> dict[str, Any]:
        """The report's: each figure with what it is `vacuous` beyond; null stands for more than a float64 holds."""
        return {
            "interval": _described(self.interval, self.spread),
            "operator_norm": _described(self.operator_norm, self.norm),
        }


@dataclass(frozen=True)
class Bounds:
    """The bounds of each layer's output and of the model's outputs by name; why there are none further down."""

    layers: Mapping[str, Bound]
    outputs: Mapping[str, Bound]
    reason: str | None

    def described(self) -> dict[str, Any]:
        return {"outputs": {name: one.described() for name, one in self.outputs.items()}, "reason": self.reason}


NO_BOX = Bounds({}, {}, "without calibration data no input box is known")
NOT_ASKED = Bounds({}, {}, "the spec asks for a report on the weights alone")


def bound_errors(
    model: ir.Model,
    graph: Weightless,
    quantized: ir.Model,
    layers: Sequence[QuantizedLayer],
    ranges: Mapping[str, ActivationRange],
    calibration: Dataset,
) -> Bounds:
    """The bounds over all inputs in the box of the calibration set (a range a channel).

    Requires: `graph` is that of `model`, and `quantized` is `model` with `layers` and `ranges` written into it.

    Raises:
        ModelError: the model does not run on the calibration set.
    """
    if calibration.whole_feeds:
        return Bounds({}, {}, "no axis of the inputs counts samples")
    walk = _Walk(
        model, quantized, {done.layer.name: done for done in layers}, ranges, _observed(model, graph, calibration)
    )
    for name, box in _input_boxes(calibration).items():
        shape = walk.shape(name)
        walk.keep(name, ErrorInterval(box, Box.of(np.zeros_like(box.low)), box.norm(shape), 0.0))
    for node in model.graph:
        walk.step(node)
    found = {layer.name: walk.bound(str(layer.node.outputs[0].name)) for layer in inventory(model)[0]}
    outputs = {str(value.name): walk.bound(str(value.name)) for value in model.graph.outputs}
    return Bounds(
        {name: bound for name, bound in found.items() if bound is not None},
        {name: bound for name, bound in outputs.items() if bound is not None},
        walk.reason,
    )


@dataclass(frozen=True)
class _Range:
    """One float tensor on a part of the calibration set: its shape, its extremes, the largest 2-norm of a sample."""

    shape: tuple[int, ...]
    low: float
    high: float
    norm: float

    def joined(self, other: "_Range") -> "_Range":
        return replace(self, low=min(self.low, other.low), high=max(self.high, other.high),
                       norm=max(self.norm, other.norm))  # fmt: skip


@dataclass(frozen=True)
class _Observed:
    """Every float tensor of the model, inputs included, and what its few integers are (sizes, axes, borders)."""

    ranges: Mapping[str, _Range]
    integers: Mapping[str, NDArray[Any]]


def _observed(model: ir.Model, graph: Weightless, calibration: Dataset) -> _Observed:
    names = [str(value.name) for node in model.graph for value in node.outputs if value.name]
    session = session_with_outputs(graph, names)
    ranges: dict[str, _Range] = {}
    integers: dict[str, NDArray[Any]] = {}
    for feeds in calibration.singly().spread(SAMPLES).batches():
        for name, value in (*feeds.items(), *zip(names, session.run(feeds, names), strict=True)):
            if value.dtype.kind == "f" and value.ndim and value.size:
                norm = max(np.linalg.norm(sample) for sample in value.reshape(len(value), -1))
                now = _Range(value.shape, float(value.min()), float(value.max()), float(norm))
                ranges[name] = ranges[name].joined(now) if name in ranges else now
            elif value.dtype.kind == "i" and value.size <= FEW and name not in feeds:
                integers[name] = value
    return _Observed(ranges, integers)


def _input_boxes(calibration: Dataset) -> dict[str, Box]:
    """The range of each float input's channels over the whole set: (C, 1, ...) or (F,)."""
    found: dict[str, Box] = {}
    for feeds in calibration.batches():
        for name, value in feeds.items():
            if value.dtype.kind != "f" or value.ndim < 2:
                continue
            axes = (0, *range(2, value.ndim))
            shape = (value.shape[1], *[1] * (value.ndim - 2))
            box = Box(*(end(axis=axes).astype(np.float64).reshape(shape) for end in (value.min, value.max)))
            old = found.get(name, box)
            found[name] = Box(np.minimum(old.low, box.low), np.maximum(old.high, box.high))
    return found


@dataclass
class _Walk:
    """From the inputs to the outputs, one node after the other; `reason` is the first that stopped it on a way."""

    model: ir.Model
    quantized: ir.Model
    layers: Mapping[str, QuantizedLayer]
    ranges: Mapping[str, ActivationRange]
    observed: _Observed
    pairs: dict[str, ErrorInterval] = field(default_factory=dict)
    reason: str | None = None

    def __post_init__(self) -> None:
        self._written = {str(node.name): node for node in self.quantized.graph}
        self._layer_of = {layer.node: layer for layer in inventory(self.model)[0]}
        self._work = WORK / (2 * max(len(self._layer_of), 1))

    def shape(self, name: str) -> tuple[int, ...]:
        """Of one sample: without the batch axis."""
        return self.observed.ranges[name].shape[1:]

    def keep(self, name: str, pair: ErrorInterval) -> None:
        """Remember a tensor's pair, rounded where the quantized model rounds it; each bound helps the other: a norm
        is at most that of the box, and no element beyond the norm."""
        shape, rounding = self.shape(name), self.ranges.get(name)
        if rounding is not None:
            pair = pair.rounded(*rounding.representable, float(rounding.scale), shape)
        size, error = min(pair.size, pair.value.norm(shape)), min(pair.error, pair.change.norm(shape))
        change = Box(np.maximum(pair.change.low, -error), np.minimum(pair.change.high, error))
        self.pairs[name] = ErrorInterval(pair.value, change, size, error)

    def bound(self, name: str) -> Bound | None:
        pair, seen = self.pairs.get(name), self.observed.ranges.get(name)
        if pair is None or seen is None:
            return None
        return Bound(pair.change.largest, pair.error, seen.high - seen.low, seen.norm)

    def step(self, node: ir.Node) -> None:
        name = str(node.outputs[0].name)
        if name not in self.observed.ranges:
            return
        if not any(value is not None and str(value.name) in self.pairs for value in node.inputs):
            return
        try:
            self.keep(name, self._through(node, name))
        except Unbounded as why:
            self.reason = self.reason or f"{node.name} ({node.op_type}): {why}"

    def _through(self, node: ir.Node, name: str) -> ErrorInterval:
        if len(node.outputs) > 1:
            raise Unbounded("it has more than one output")
        layer = self._layer_of.get(node)
        if layer is not None:
            return self._layer(layer, name)
        rule = RULES.get(node.op_type)
        if rule is None:
            raise Unbounded("no bound is known for this operator")

        def shape(index: int) -> tuple[int, ...]:
            value = node.inputs[index]
            seen = None if value is None else self.observed.ranges.get(str(value.name))
            return (1, *self.operand(node, index, name).value.low.shape) if seen is None else seen.shape

        after, integers = self.observed.ranges[name].shape, self.observed.integers
        return rule(Passage(node, lambda index: self.operand(node, index, name), shape, after, integers))

    def operand(self, node: ir.Node, index: int, output: str) -> ErrorInterval:
        """A tensor's pair, or that of a constant as both models have it, without a batch axis."""
        value = node.inputs[index]
        known = None if value is None else self.pairs.get(str(value.name))
        if known is not None:
            return known
        array, shape = constant(value), self.shape(output)
        if array is None or array.dtype.kind != "f" or array.ndim > len(shape) + (array.shape[:1] == (1,)):
            raise Unbounded("an operand is not bounded")
        other = _written_constant(self._written.get(str(node.name)), index)
        other = array if other is None or other.shape != array.shape else other
        own, written = (Box.of(one[0] if one.ndim > len(shape) else one) for one in (array, other))
        change = written.minus(own)
        return ErrorInterval(own, change, own.norm(shape), change.norm(shape))

    def _layer(self, layer: Layer, name: str) -> ErrorInterval:
        source = str(layer.operand(layer.input_index).name)
        matrix = weight_matrix(layer, layer.weight)
        if source not in self.pairs or matrix is None or layer.weight_operand.integer_kernel is None:
            raise Unbounded("neither a Conv nor a product with one constant matrix on the right")
        done = self.layers.get(layer.name)
        quantized = matrix if done is None else weight_matrix(layer, decoded(done.quantized))
        assert quantized is not None, "the weight has a matrix"
        weights = (matrix.astype(np.float64), quantized.astype(np.float64) - matrix)
        bias, shift = self._biases(layer, weights[0].shape[0] * weights[0].shape[1])
        if isinstance(layer.weight_operand.matrix_form, Convolution):
            return self._conv(layer, source, name, weights, (bias, shift))
        if layer.node.attributes.get_int("transA", 0):
            raise Unbounded("its input is transposed")
        pair = self.pairs[source]
        width = weights[0].shape[2]
        full = pair.moved(lambda ends: np.broadcast_to(ends, (*ends.shape[:-1], width)))
        rows = prod(self.shape(name)[:-1])
        return _product(
            full, (weights[0][0], weights[1][0]), (bias, shift), partial(matrix_norm, work=self._work), rows
        )

    def _conv(
        self, layer: Layer, source: str, name: str, weights: tuple[Array, Array], biases: tuple[Array, Array]
    ) -> ErrorInterval:
        """One position's window for all: the range of each channel, with zero where there are borders."""
        sizes = self.shape(source)[1:]
        windows = Convolution().windows(layer.node, layer.kernel, sizes)
        pair = self.pairs[source].gathered(tuple(range(1, 1 + len(sizes))), keepdims=False)
        if any(window.before or window.after for window in windows):
            pair = pair.with_zero()
        groups, taps = weights[0].shape[0], prod(layer.kernel)
        channels = self.shape(source)[0]
        patches = pair.moved(lambda ends: np.broadcast_to(ends, (channels,)).reshape(groups, -1).repeat(taps, axis=1))
        geometry = Geometry(
            tuple(window.stride for window in windows),
            tuple(window.dilation for window in windows),
            tuple(size + window.before + window.after for window, size in zip(windows, sizes, strict=True)),
        )

        def norm(matrix: Array) -> float:
            return convolution_norm(matrix.reshape(*matrix.shape[:2], -1, *layer.kernel), geometry, self._work)

        grouped = tuple(bias.reshape(groups, -1) for bias in biases)
        made = _product(patches, weights, (grouped[0], grouped[1]), norm, prod(self.shape(name)[1:]))
        return made.moved(lambda ends: ends.reshape(-1, *[1] * len(sizes)))

    def _biases(self, layer: Layer, channels: int) -> tuple[Array, Array]:
        """The float bias (C,) and what the quantized model's is more, the Add that bias correction made included."""
        own, written = layer.node, self._written[layer.name]
        has_bias = layer.bias is not None
        old = constant(layer.bias) if has_bias else np.zeros(channels)
        if is_add(written):
            new = _written_constant(written, 1)
        elif (operator := operator_of(written)) is not None and operator.bias(written) is not None:
            new = _written_constant(written, operator.bias_index or 0)
        else:
            new = _written_constant(self._written.get(f"{own.name}_add_bias"), 1)
            new = np.zeros(channels) if new is None else new
        if old is None or new is None:
            raise Unbounded("its bias is computed at run time")
        before, after = (np.broadcast_to(np.asarray(one, np.float64).reshape(-1), (channels,)) for one in (old, new))
        return before, after - before


def _product(
    pair: ErrorInterval,
    weights: tuple[Array, Array],
    biases: tuple[Array, Array],
    norm: Callable[[Array], float],
    rows: int,
) -> ErrorInterval:
    """A layer W x + b and its counterpart (W + D) q + b + c, over boxes (..., K) of what each row of `rows` is made of.

    With q = x + d the difference is D x + (W + D) d + c (MATH.md F.1).
    """
    (weight, change), (bias, shift) = weights, biases
    size, added = norm(weight), norm(change)
    moved = pair.value.product(change).plus(pair.change.product(weight + change))
    return ErrorInterval(
        pair.value.product(weight).plus(Box.of(bias)),
        moved.plus(Box.of(shift)),
        size * pair.size + float(np.linalg.norm(bias)) * sqrt(rows),
        (size + added) * pair.error + added * pair.size + float(np.linalg.norm(shift)) * sqrt(rows),
    )


def _written_constant(node: ir.Node | None, index: int) -> NDArray[Any] | None:
    """A constant operand of a node of the quantized model, dequantized; None where there is none."""
    if node is None or index >= len(node.inputs):
        return None
    value = node.inputs[index]
    producer = None if value is None else value.producer()
    if producer is None or not is_dequantize(producer):
        return constant(value)
    codes, scale = (constant(operand) for operand in producer.inputs[:2])
    return None if codes is None or scale is None else codes.astype(np.float64) * np.asarray(scale, np.float64)


def _described(figure: float, beyond: float) -> dict[str, Any]:
    return {"error": figure if np.isfinite(figure) else None, "vacuous": not figure <= beyond}
