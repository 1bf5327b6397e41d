"""The inventory of a normalised model: its layers, which are the weights to quantize, and its skipped nodes."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.graph.constants import constant, constant_tensor
from quant.graph.expressions import is_constant_expression
from quant.graph.operators import Operator, WeightOperand, computes_with_integers, float_weights, operator_of
from quant.graph.quantized import is_dequantized

MIN_STATES_PER_INPUT = 4
"""The states for each input of a recurrent layer with few inputs. Blocks then enlarge the layer by at most 10 %."""


@dataclass(frozen=True)
class Layer:
    """One constant float32 weight of a node.

    A node with several weights (LSTM, GRU, RNN) gives several layers. The weight is read from the graph on each access
    and never copied into the layer.

    Attributes:
        name: the node's name, with a suffix where the node has several weights.
        node: the node that reads the weight.
        operator: the properties of the node's operator.
        weight_operand: the properties of the operand that holds the weight.
        axis: the weight's axis of output channels.
        float_only: why ONNX Runtime has no integer kernel for the layer on a CPU; None if it has one. Such a weight is
            stored in few bits, and the layer computes in float.
    """

    name: str
    node: ir.Node
    operator: Operator
    weight_operand: WeightOperand
    axis: int
    float_only: str | None = None

    @property
    def op(self) -> str:
        """The ONNX name of the operator."""
        return self.operator.name

    @property
    def weight(self) -> NDArray[np.float32]:
        """The weight's array, float32."""
        return np.asarray(self._tensor.numpy(), np.float32)

    @property
    def shape(self) -> tuple[int, ...]:
        """The weight's shape."""
        return tuple(int(size) for size in self._tensor.shape.numpy())

    @property
    def kernel(self) -> tuple[int, ...]:
        """The weight's sizes along the spatial axes of a convolution."""
        return self.shape[2:]

    @property
    def size(self) -> int:
        """The number of the weight's elements."""
        return math.prod(self.shape)

    @property
    def weight_name(self) -> str:
        """The name of the weight's initializer."""
        return str(self.operand(self.weight_index).name)

    @property
    def weight_index(self) -> int:
        """The number of the node's operand that is the weight."""
        return self.weight_operand.index

    @property
    def input_index(self) -> int:
        """The number of the node's operand that the weight is applied to."""
        return self.weight_operand.input_index

    @property
    def bias(self) -> ir.Value | None:
        """The bias operand of the node, one value per channel; None where there is none."""
        return None if self.weight_operand.output_axis is None else self.operator.bias(self.node)

    @property
    def reduced_axis(self) -> int | None:
        """The weight's axis that a Gemm, or a MatMul with its weight on the right, sums over; None for other layers."""
        if not self.weight_operand.reduces_matrix:
            return None
        rows, columns = len(self.shape) - 2, len(self.shape) - 1  # axes before them count the matrices of a batch
        return columns if self.axis == rows else rows

    @property
    def block_axis(self) -> int | None:
        """The weight's axis along which blocks of weights can share a scale; None where all of a channel share one."""
        return len(self.shape) - 1 if self.weight_operand.recurrent else self.reduced_axis

    @property
    def multiplied(self) -> ir.Value | None:
        """The tensor whose rows the weight multiplies: an operand, or the states; None if the states have no name."""
        if not self.weight_operand.reads_states:
            return self.operand(self.input_index)
        states = self.node.outputs[0]
        return states if states.name else None

    @property
    def inputs_axis(self) -> int | None:
        """The weight's axis that is summed with the last axis of the input; None for other layers, and for batches."""
        return None if self.is_batch else self.weight_operand.inputs_axis(self.node)

    @property
    def has_few_inputs(self) -> bool:
        """True for the input weight of a recurrent layer with at least `MIN_STATES_PER_INPUT` states per input.

        Its inputs are features, such as the bands of a spectrum, whose sizes differ by orders of magnitude, and so do
        their weights.
        """
        operand = self.weight_operand
        states = self.node.attributes.get_int("hidden_size", 0)
        return operand.recurrent and not operand.reads_states and self.shape[-1] * MIN_STATES_PER_INPUT <= states

    @property
    def output_axis(self) -> int | None:
        """The output's axis of channels, along which a bias lies; None if the output has no such axis."""
        return None if self.is_batch else self.weight_operand.output_axis

    @property
    def output_channels(self) -> int:
        """The number of the output's channels."""
        return self.operator.output_channels(self.node, self.shape[self.axis])

    @property
    def is_batch(self) -> bool:
        """True if the weight is a batch of matrices, each for one matrix of the input."""
        return self.operator.batched and len(self.shape) > 2

    @property
    def graph(self) -> ir.Graph:
        """The graph that the node is in: the model's own, or the body of an If, Loop or Scan."""
        graph = self.node.graph
        assert isinstance(graph, ir.Graph), "normalised models have no functions"
        return graph

    @property
    def _tensor(self) -> ir.TensorProtocol:
        tensor = constant_tensor(self.operand(self.weight_index))
        assert tensor is not None, "the weight was a constant when the layer was listed"
        return tensor

    def operand(self, index: int) -> ir.Value:
        """Return an operand of the node; requires that it is present, as the weight and the input always are."""
        value = self.node.inputs[index]
        assert value is not None, "the operand is absent"
        return value


@dataclass(frozen=True)
class Skipped:
    """A node that stays as it is, in float or already `quantized`, and the reason."""

    name: str
    op: str
    reason: str
    quantized: bool = False


def inventory(model: ir.Model) -> tuple[list[Layer], list[Skipped]]:
    """Return every layer in graph order, also in bodies of If, Loop and Scan, and the skipped nodes.

    A skipped node has an operator with weights, or computes with integers already.
    """
    layers: list[Layer] = []
    skipped: list[Skipped] = []
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if computes_with_integers(node):
            skipped.append(Skipped(str(node.name), node.op_type, "it computes with integers already", quantized=True))
        elif float_weights(node):
            skipped.append(Skipped(str(node.name), node.op_type, _operator_reason(node)))
        for entry in _entries(node, nested=node.graph is not model.graph):
            if isinstance(entry, Layer):
                layers.append(entry)
            else:
                skipped.append(entry)
    return layers, skipped


def _entries(node: ir.Node, *, nested: bool) -> Iterator[Layer | Skipped]:
    """Yield a layer, or the reason why it is none, for each weight operand of a node."""
    operator = operator_of(node)
    if operator is None:
        return
    for operand in operator.weights_of(node):
        name = f"{node.name}{operand.suffix}"
        value = node.inputs[operand.index]
        if operator.lookup and not _is_embedding(value):
            continue
        reason = _skip_reason(value) or _input_reason(node, operator, operand) or _bias_reason(node, operator)
        if reason is not None:
            yield Skipped(name, operator.name, reason, quantized=is_dequantized(value))
            continue
        tensor = constant_tensor(value)
        assert tensor is not None, "a value without a tensor has a reason"
        axis = operand.channel_axis(node, len(tensor.shape))
        yield Layer(name, node, operator, operand, axis, operand.float_reason or _nesting_reason(nested=nested))


def _is_embedding(table: ir.Value | None) -> bool:
    """Return True for a matrix of floats, or one dequantized from codes; most lookups read shapes and positions."""
    tensor = constant_tensor(table)
    if tensor is None:
        return is_dequantized(table)
    return tensor.dtype.is_floating_point() and len(tensor.shape) == 2


def _skip_reason(value: ir.Value | None) -> str | None:
    """Return why a weight cannot be quantized, or None if it can."""
    tensor = constant_tensor(value)
    if tensor is None:
        return "its weight is quantized already" if is_dequantized(value) else _computed_reason(value)
    if tensor.dtype != ir.DataType.FLOAT:
        return f"its weight is {tensor.dtype.numpy()}; float32 is quantized"
    if len(tensor.shape) < 2:
        return "its weight is a vector"
    if value is not None and value.is_graph_output():
        return "its weight is an output of the model too"
    return "its weight is empty" if tensor.size == 0 else None


def _input_reason(node: ir.Node, operator: Operator, operand: WeightOperand) -> str | None:
    """Return why a weight is left in float because of the input that it is applied to, or None."""
    value = node.inputs[operand.input_index]
    if value is None or operator.lookup or not is_constant_expression(value):
        return None
    return "its output does not depend on the model's inputs"


def _bias_reason(node: ir.Node, operator: Operator) -> str | None:
    """Return why a weight is left in float because of the layer's bias, or None."""
    index = operator.bias_index
    bias = constant(node.inputs[index]) if index is not None and index < len(node.inputs) else None
    if bias is None or bias.dtype.kind != "f" or np.isfinite(bias).all():
        return None
    return "its bias holds NaN or infinity, which no integer stands for"


def _computed_reason(value: ir.Value | None) -> str:
    """Return why a weight that a node computes was not folded into a constant."""
    if value is not None and value.is_initializer():
        return "its weight is an input with a default value, which a caller can replace"
    if value is not None and is_constant_expression(value):
        return "its weight is computed from constants that take fewer bytes than its codes would"
    return "its weight is computed at run time"


def _operator_reason(node: ir.Node) -> str:
    """Return why a node is left in float although it has a constant weight."""
    if node.domain == "com.microsoft":
        return (
            f"{node.op_type} is an operator into which ONNX Runtime fused others; it is quantized if the model is "
            "exported without graph optimizations"
        )
    return f"ONNX Runtime has no integer kernel for this {node.op_type}"


def _nesting_reason(*, nested: bool) -> str | None:
    return "its activations lie in the body of an If, Loop or Scan" if nested else None
