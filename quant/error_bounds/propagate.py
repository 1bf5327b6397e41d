"""Guaranteed bounds of the output error of a quantized model, for every input in the calibrated box.

Two bounds are propagated side by side, layer by layer: intervals of the float and the quantized tensor, and 2-norms of
the layers as operators. Both hold in exact arithmetic. On deep networks both are far above the observed error. See
docs/methods.md, "Error bounds".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from quant.calibration.activation_ranges import ActivationRange
from quant.data.dataset import Dataset
from quant.error_bounds.intervals import Box, ErrorInterval
from quant.error_bounds.layer_rules import LAYER_RULES, AffineMaps, LayerPassage
from quant.error_bounds.observed import ObservedTensors, input_boxes, observe_tensors
from quant.error_bounds.operator_rules import RULES, Passage, Unbounded
from quant.error_bounds.quantized_constants import QuantizedConstants
from quant.graph.constants import constant
from quant.graph.im2col import weight_matrix
from quant.graph.inventory import Layer, inventory
from quant.graph.weightless import Weightless
from quant.weights.layers import QuantizedLayer
from quant.weights.quantize import decoded
from quant.weights.storage_form import StorageForm

WORK = 2e9
"""Multiplications for the operator norms of all layers together."""


@dataclass(frozen=True)
class Bound:
    """The bounds of one tensor's error, with observed figures to compare them with.

    Attributes:
        interval: the largest error of any element, by intervals.
        operator_norm: the largest 2-norm of one sample's error, by operator norms.
        spread: the observed range of the float tensor's values, largest minus least.
        norm: the largest observed 2-norm of one sample of the float tensor.
    """

    interval: float
    operator_norm: float
    spread: float
    norm: float

    def described(self) -> dict[str, Any]:
        """Return the report's entry; a bound is vacuous above the observed figure, and null if it is not finite."""
        return {
            "interval": _described(self.interval, self.spread),
            "operator_norm": _described(self.operator_norm, self.norm),
        }


@dataclass(frozen=True)
class Bounds:
    """The bounds of the layers' outputs and of the model's outputs, by name.

    `reason` says where and why the first bound ended; None if all outputs are bounded.
    """

    layers: Mapping[str, Bound]
    outputs: Mapping[str, Bound]
    reason: str | None

    def described(self) -> dict[str, Any]:
        """Return the report's entry on the model's outputs."""
        return {"outputs": {name: bound.described() for name, bound in self.outputs.items()}, "reason": self.reason}


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
    """Return the bounds over all inputs in the box of the calibration set, which has one range for each channel.

    Args:
        model: the float model in normal form.
        graph: the graph of `model` without its weights.
        quantized: `model` with `layers` and `ranges` written into it.
        layers: the quantized layers.
        ranges: by tensor name, the ranges of the quantized activations.
        calibration: the calibration set.

    Raises:
        ModelError: the model does not run on the calibration set.
    """
    if not calibration.samples_first:
        return Bounds({}, {}, "no axis of the inputs counts samples")
    if calibration.runs:
        return Bounds({}, {}, "the samples differ in shape")
    by_name = {layer.layer.name: layer for layer in layers}
    observed = observe_tensors(graph, calibration, tensors_of_bounds(model))
    propagation = _Propagation(model, quantized, by_name, ranges, observed)
    for name, box in input_boxes(calibration).items():
        propagation.add_input(name, box)
    for node in model.graph:
        propagation.step(node)
    outputs = {layer.name: str(layer.node.outputs[0].name) for layer in inventory(model)[0]}
    return Bounds(
        propagation.bounds(outputs),
        propagation.bounds({str(value.name): str(value.name) for value in model.graph.outputs}),
        propagation.reason,
    )


def tensors_of_bounds(model: ir.Model) -> list[str]:
    """Return the names of the computed tensors that bounds can reach, and of the other operands of the same nodes.

    A bound ends at an operator without a rule: behind the first normalisation of a transformer there is none, and its
    attention scores would take gigabytes.
    """
    reached = {str(value.name) for value in model.graph.inputs}
    names: dict[str, None] = {}
    for node in model.graph:
        operands = [value for value in node.inputs if value is not None]
        if not any(value.name in reached for value in operands):
            continue
        computed = [value for value in operands if value.producer() is not None]
        names |= dict.fromkeys(str(value.name) for value in (*computed, *node.outputs) if value.name)
        if RULES.get(node.op_type) or LAYER_RULES.get(node.op_type):
            reached.add(str(node.outputs[0].name))
    return list(names)


@dataclass
class _Propagation:
    """The error intervals by tensor name, computed node by node from the inputs to the outputs.

    `reason` is that of the first node that no bound could pass.
    """

    model: ir.Model
    quantized: ir.Model
    layers: Mapping[str, QuantizedLayer]
    ranges: Mapping[str, ActivationRange]
    observed: ObservedTensors
    intervals: dict[str, ErrorInterval] = field(default_factory=dict)
    reason: str | None = None

    def __post_init__(self) -> None:
        self._constants = QuantizedConstants(self.quantized)
        self._layer_of = {layer.node: layer for layer in inventory(self.model)[0]}
        self._work = WORK / (2 * max(len(self._layer_of), 1))

    def add_input(self, name: str, box: Box) -> None:
        """Record the interval of a model input, which both models read unchanged."""
        unchanged = Box.of(np.zeros_like(box.low))
        self._record(name, ErrorInterval(box, unchanged, box.norm(self._shape(name)), 0.0))

    def step(self, node: ir.Node) -> None:
        """Record the interval of a node's output if one of its inputs has one."""
        name = str(node.outputs[0].name)
        if name not in self.observed.ranges:
            return
        if not any(value is not None and str(value.name) in self.intervals for value in node.inputs):
            return
        try:
            self._record(name, self._output_interval(node, name))
        except Unbounded as error:
            self.reason = self.reason or f"{node.name} ({node.op_type}): {error}"

    def bounds(self, names: Mapping[str, str]) -> dict[str, Bound]:
        """Return the bounds of the tensors that have one, by the keys of `names`."""
        bounds = {}
        for key, name in names.items():
            interval, observed = self.intervals.get(name), self.observed.ranges.get(name)
            if interval is not None and observed is not None:
                spread = observed.high - observed.low
                bounds[key] = Bound(interval.change.largest, interval.error, spread, observed.norm)
        return bounds

    def _shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of one sample of a tensor, without the batch axis."""
        return self.observed.ranges[name].shape[1:]

    def _record(self, name: str, interval: ErrorInterval) -> None:
        """Record a tensor's interval, rounded if the quantized model rounds the tensor, and tightened."""
        shape, activation = self._shape(name), self.ranges.get(name)
        if activation is not None:
            interval = interval.rounded(*activation.representable, float(activation.scale), shape)
        self.intervals[name] = interval.tightened(shape)

    def _output_interval(self, node: ir.Node, name: str) -> ErrorInterval:
        if len(node.outputs) > 1:
            raise Unbounded("it has more than one output")
        layer = self._layer_of.get(node)
        if layer is not None:
            return self._layer_interval(layer, name)
        rule = RULES.get(node.op_type)
        if rule is None:
            raise Unbounded("no bound is known for this operator")

        def operand(index: int) -> ErrorInterval:
            return self._operand(node, index, name)

        def shape(index: int) -> tuple[int, ...]:
            value = node.inputs[index]
            observed = None if value is None else self.observed.ranges.get(str(value.name))
            return (1, *operand(index).value.low.shape) if observed is None else observed.shape

        return rule(Passage(node, operand, shape, self.observed.ranges[name].shape, self.observed.integers))

    def _operand(self, node: ir.Node, index: int, output: str) -> ErrorInterval:
        """Return the interval of an operand: a bounded tensor, or a constant as both models hold it."""
        value = node.inputs[index]
        interval = None if value is None else self.intervals.get(str(value.name))
        if interval is not None:
            return interval
        array, shape = constant(value), self._shape(output)
        if array is None or array.dtype.kind != "f" or array.ndim > len(shape) + (array.shape[:1] == (1,)):
            raise Unbounded("an operand is not bounded")
        quantized = self._constants.operand(str(node.name), index)
        if quantized is None or quantized.shape != array.shape:
            quantized = array
        before, after = (Box.of(side[0] if side.ndim > len(shape) else side) for side in (array, quantized))
        change = after.minus(before)
        return ErrorInterval(before, change, before.norm(shape), change.norm(shape))

    def _layer_interval(self, layer: Layer, name: str) -> ErrorInterval:
        source, rule = str(layer.operand(layer.input_index).name), LAYER_RULES.get(layer.op)
        matrix = weight_matrix(layer, layer.weight)
        right = layer.weight_operand.integer_kernel is not None
        if source not in self.intervals or matrix is None or rule is None or not right:
            raise Unbounded("neither a Conv nor a product with one constant matrix on the right")
        quantized_layer = self.layers.get(layer.name)
        quantized = matrix if quantized_layer is None else weight_matrix(layer, decoded(quantized_layer.quantized))
        assert quantized is not None, "the float weight has a matrix"
        weight, change = matrix.astype(np.float64), quantized.astype(np.float64) - matrix
        biases = self._constants.biases(layer, weight.shape[0] * weight.shape[1])
        if biases is None:
            raise Unbounded("its bias is computed at run time")
        maps, interval = AffineMaps(weight, change, *biases), self.intervals[source]
        if quantized_layer is not None and quantized_layer.form is StorageForm.DYNAMIC:
            interval = interval.rounded_by_range(self._shape(source))
        return rule(LayerPassage(layer, maps, interval, self._shape(source), self._shape(name), self._work))


def _described(figure: float, largest_useful: float) -> dict[str, Any]:
    return {"error": figure if np.isfinite(figure) else None, "vacuous": not figure <= largest_useful}
