"""The layers of a normalised model whose weights can be quantized, and why the others cannot."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.graph.constants import constant_tensor
from quant.graph.quantized import computes_with_integers, is_dequantized

RECURRENT = ("LSTM", "GRU", "RNN")
LAYER_OPERATORS = ("Conv", "ConvTranspose", "Gemm", "MatMul", *RECURRENT, "Gather")


@dataclass(frozen=True)
class Layer:
    """One constant float32 weight of a node; the array is read from the graph whenever it is asked for.

    `axis` is the weight's output-channel axis; `weight_index` and `input_index` say which operands of the node
    are the weight and the activation. `float_only` is the reason why ONNX Runtime has no integer kernel for it on a
    CPU, where it has none: such a weight is stored in few bits and computed with in float.
    """

    name: str
    op: str
    node: ir.Node
    axis: int
    weight_index: int
    input_index: int
    float_only: str | None = None

    @property
    def weight(self) -> NDArray[np.float32]:
        return np.asarray(self._tensor.numpy(), np.float32)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(size) for size in self._tensor.shape.numpy())

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def weight_name(self) -> str:
        return str(self.operand(self.weight_index).name)

    @property
    def bias(self) -> ir.Value | None:
        """The third operand of Conv, ConvTranspose and Gemm, where there is one."""
        has_bias = self.op in ("Conv", "ConvTranspose", "Gemm") and len(self.node.inputs) > 2
        return self.node.inputs[2] if has_bias else None

    @property
    def reduced_axis(self) -> int | None:
        """The weight's axis that a Gemm or a MatMul with its weight on the right sums over; None for other layers."""
        if self.op == "Gemm":
            return 1 - self.axis
        return len(self.shape) - 2 if self.op == "MatMul" and self.weight_index == 1 else None

    @property
    def graph(self) -> ir.Graph:
        """The graph that the node is in: the model's own, or the body of an If, Loop or Scan."""
        graph = self.node.graph
        assert isinstance(graph, ir.Graph), "functions are inlined before"
        return graph

    @property
    def _tensor(self) -> ir.TensorProtocol:
        tensor = constant_tensor(self.operand(self.weight_index))
        assert tensor is not None, "it was constant when the layer was found"
        return tensor

    def operand(self, index: int) -> ir.Value:
        value = self.node.inputs[index]
        assert value is not None, "a layer's weight and input are never optional"
        return value


@dataclass(frozen=True)
class Skipped:
    """A node that stays as it is, in float or `quantized` already, and the reason."""

    name: str
    op: str
    reason: str
    quantized: bool = False


def inventory(model: ir.Model) -> tuple[list[Layer], list[Skipped]]:
    """Every layer in graph order, also in bodies of If, Loop and Scan, and what stays as it is of its kind."""
    layers: list[Layer] = []
    skipped: list[Skipped] = []
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if computes_with_integers(node):
            skipped.append(Skipped(str(node.name), node.op_type, "it computes with integers already", quantized=True))
        if node.op_type not in LAYER_OPERATORS or node.domain != "":
            continue
        for found in _layers(node, nested=node.graph is not model.graph):
            if isinstance(found, Layer):
                layers.append(found)
            else:
                skipped.append(found)
    return layers, skipped


def _layers(node: ir.Node, *, nested: bool) -> Iterator[Layer | Skipped]:
    name, op = str(node.name), node.op_type
    if op == "Gather":  # most gather from shapes and positions: only a float table is an embedding
        table = constant_tensor(node.inputs[0])
        is_float = table is not None and table.dtype.is_floating_point() and len(table.shape) == 2
        if is_float or (table is None and is_dequantized(node.inputs[0])):
            yield _layer(node, name, 0, 1, "a lookup has no arithmetic")
    elif op in RECURRENT:
        for index, letter in ((1, "W"), (2, "R")):
            yield _layer(node, f"{name}/{letter}", index, 0, f"ONNX Runtime runs {op} in float")
    else:
        index = 0 if op == "MatMul" and constant_tensor(node.inputs[0]) is not None else 1
        yield _layer(node, name, index, 1 - index, _why_float(op, index, nested=nested))


def _why_float(op: str, weight_index: int, *, nested: bool) -> str | None:
    if op == "ConvTranspose":
        return "ONNX Runtime runs ConvTranspose in float"
    if weight_index == 0:
        return "ONNX Runtime has no integer MatMul with its weight on the left"
    return "its activations lie in the body of an If, Loop or Scan" if nested else None


def _layer(node: ir.Node, name: str, weight_index: int, input_index: int, float_only: str | None) -> Layer | Skipped:
    op, weight = node.op_type, constant_tensor(node.inputs[weight_index])
    if weight is None and is_dequantized(node.inputs[weight_index]):
        return Skipped(name, op, "its weight is quantized already", quantized=True)
    if weight is None:
        return Skipped(name, op, "its weight is computed at run time")
    if weight.dtype != ir.DataType.FLOAT:
        return Skipped(name, op, f"its weight is {weight.dtype.numpy()}; float32 is quantized")
    if len(weight.shape) < 2:
        return Skipped(name, op, "its weight is a vector")
    if weight.size == 0:
        return Skipped(name, op, "its weight is empty")
    axis = _channel_axis(node, len(weight.shape), weight_index)
    return Layer(name, op, node, axis, weight_index, input_index, float_only)


def _channel_axis(node: ir.Node, ndim: int, weight_index: int) -> int:
    """Conv (C_out, C_in/g, ...), ConvTranspose (C_in, C_out/g, ...), Gemm (K, N) or (N, K), MatMul (..., K, N),
    LSTM, GRU, RNN (directions, gates * hidden, inputs), Gather (entries, width): a scale an entry."""
    if node.op_type in ("Conv", "Gather"):
        return 0
    if node.op_type == "ConvTranspose" or node.op_type in RECURRENT:
        return 1
    if node.op_type == "Gemm":
        return 0 if node.attributes.get_int("transB", 0) else 1
    return ndim - 1 if weight_index == 1 else ndim - 2
