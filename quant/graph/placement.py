"""Which activations get a quantize-dequantize pair, so that ONNX Runtime finds its integer kernels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from quant.graph.constants import constant
from quant.graph.inventory import Layer
from quant.graph.uses import only_use

_FUSED_ACTIVATIONS = ("Relu", "Clip")
_FLOAT_OUTPUT = ("Gemm", "MatMul")
"""Layers whose integer kernel can write float: their output is rounded only where an integer kernel reads it."""
_MOVING = frozenset({"MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Resize", "Slice", "Pad"})
"""Operators with an integer kernel that gives out values of its first input: both sides share one scale."""
_COMPUTING = frozenset({"Add", "Mul", "AveragePool", "GlobalAveragePool", "Concat", "LeakyRelu", "Sigmoid"})
"""Operators with an integer kernel of its own scales, once all its inputs are quantized."""


@dataclass(frozen=True)
class Placement:
    """The values to quantize, in graph order; `ties` says for some of them whose scale they take."""

    values: tuple[str, ...]
    ties: dict[str, str]

    @property
    def observed(self) -> list[str]:
        """The values whose range must be measured."""
        return [name for name in self.values if name not in self.ties]


def place(graph: ir.Graph, layers: Sequence[Layer]) -> Placement:
    """Inputs and outputs of the given layers, and what lies between them where a kernel takes it in integers.

    An output of the model stays in float, unless a layer's kernel can only write integers.
    """
    by_node = {layer.node for layer in layers}
    wanted = {str(layer.operand(layer.input_index).name) for layer in layers}
    values: dict[str, None] = dict.fromkeys(str(value.name) for value in graph.inputs if str(value.name) in wanted)
    ties: dict[str, str] = {}
    for node in graph:
        output = fused_output(node)
        name = str(output.name)
        if node in by_node:
            if name in wanted or node.op_type not in _FLOAT_OUTPUT:
                values[name] = None
        elif _moves_values(node) and output is node.outputs[0] and _quantized(node.inputs[:1], values):
            source = str(node.inputs[0].name)  # type: ignore[union-attr]
            if not output.is_graph_output():
                values[name], ties[name] = None, ties.get(source, source)
        elif node.op_type in _COMPUTING and _quantized(node.inputs, values) and not output.is_graph_output():
            values[name] = None
        for plain in node.outputs:
            if str(plain.name) in wanted:
                values[str(plain.name)] = None
    return Placement(tuple(values), ties)


def fused_output(node: ir.Node) -> ir.Value:
    """The node's first output, behind a Relu or Clip that is its only consumer."""
    output = node.outputs[0]
    consumer, _ = only_use(output)
    if consumer is None:
        return output
    fuses = consumer.op_type in _FUSED_ACTIVATIONS and all(
        bound is None or constant(bound) is not None for bound in consumer.inputs[1:]
    )
    return consumer.outputs[0] if fuses else output


def _moves_values(node: ir.Node) -> bool:
    """Whether the node only gives out values of its input (or zeros, or means of neighbours) with an integer kernel."""
    if node.op_type == "Pad" and node.attributes.get_string("mode", "constant") == "constant":
        filling = node.inputs[2] if len(node.inputs) > 2 else None
        value = constant(filling)
        return filling is None or (value is not None and not value.any())
    if node.op_type == "Resize":
        return node.attributes.get_string("mode", "nearest") in ("nearest", "linear")
    return node.op_type in _MOVING


def _quantized(inputs: Iterable[ir.Value | None], values: dict[str, None]) -> bool:
    return all(value is not None and str(value.name) in values for value in inputs)
