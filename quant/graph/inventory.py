"""The layers of a normalised model whose weights can be quantized, and why the others cannot."""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.graph.constants import constant

LAYER_OPERATORS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True)
class Layer:
    """One node with a constant float32 weight.

    `axis` is the weight's output-channel axis; `weight_index` and `input_index` say which operands of the node
    are the weight and the activation.
    """

    name: str
    op: str
    node: ir.Node
    weight: NDArray[np.float32]
    axis: int
    weight_index: int
    input_index: int

    @property
    def weight_name(self) -> str:
        return str(self.operand(self.weight_index).name)

    @property
    def bias(self) -> ir.Value | None:
        """The third operand of Conv, ConvTranspose and Gemm, where there is one."""
        return self.node.inputs[2] if self.op != "MatMul" and len(self.node.inputs) > 2 else None

    def operand(self, index: int) -> ir.Value:
        value = self.node.inputs[index]
        assert value is not None, "a layer's weight and input are never optional"
        return value


@dataclass(frozen=True)
class Skipped:
    """A node that stays in float, and the reason."""

    name: str
    op: str
    reason: str


def inventory(model: ir.Model) -> tuple[list[Layer], list[Skipped]]:
    """Every layer in graph order, and every node of a layer's kind that stays in float."""
    layers: list[Layer] = []
    skipped: list[Skipped] = []
    for node in model.graph:
        if node.op_type in LAYER_OPERATORS and node.domain == "":
            found = _layer(node)
            (layers if isinstance(found, Layer) else skipped).append(found)  # type: ignore[arg-type]
    return layers, skipped


def _layer(node: ir.Node) -> Layer | Skipped:
    name, op = str(node.name), node.op_type
    index = 0 if op == "MatMul" and constant(node.inputs[0]) is not None else 1
    weight = constant(node.inputs[index])
    if weight is None:
        return Skipped(name, op, "its weight is computed at run time")
    if weight.dtype != np.float32:
        return Skipped(name, op, f"its weight is {weight.dtype}; float32 is quantized")
    if weight.ndim < 2:
        return Skipped(name, op, "its weight is a vector")
    if weight.size == 0:
        return Skipped(name, op, "its weight is empty")
    return Layer(
        name, op, node, np.asarray(weight, np.float32), _channel_axis(node, weight.ndim, index), index, 1 - index
    )


def _channel_axis(node: ir.Node, ndim: int, weight_index: int) -> int:
    """Conv (C_out, C_in/g, ...), ConvTranspose (C_in, C_out/g, ...), Gemm (K, N) or (N, K), MatMul (..., K, N)."""
    if node.op_type == "Conv":
        return 0
    if node.op_type == "ConvTranspose":
        return 1
    if node.op_type == "Gemm":
        return 0 if node.attributes.get_int("transB", 0) else 1
    return ndim - 1 if weight_index == 1 else ndim - 2
