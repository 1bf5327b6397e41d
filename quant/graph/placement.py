"""Which activations get a quantize-dequantize pair, so that ONNX Runtime finds its integer kernels."""

from collections.abc import Sequence

import onnx_ir as ir

from quant.graph.constants import constant
from quant.graph.inventory import Layer

_FUSED_ACTIVATIONS = ("Relu", "Clip")
_FLOAT_OUTPUT = ("Gemm", "MatMul")
"""Layers whose integer kernel can write float: a final one keeps the model's output unrounded."""


def quantized_activations(layers: Sequence[Layer]) -> list[ir.Value]:
    """The input of every layer and its output (behind the Relu or Clip it fuses with), each once, in graph order."""
    values: dict[str, ir.Value] = {}
    for layer in layers:
        source = layer.operand(layer.input_index)
        output = layer_output(layer)
        values.setdefault(str(source.name), source)
        if not (output.is_graph_output() and layer.op in _FLOAT_OUTPUT and output is layer.node.outputs[0]):
            values.setdefault(str(output.name), output)
    return list(values.values())


def layer_output(layer: Layer) -> ir.Value:
    """The layer's output, behind a Relu or Clip that is its only consumer."""
    output = layer.node.outputs[0]
    uses = tuple(output.uses())
    if len(uses) != 1 or output.is_graph_output():
        return output
    consumer = uses[0].node
    fuses = consumer.op_type in _FUSED_ACTIVATIONS and all(
        bound is None or constant(bound) is not None for bound in consumer.inputs[1:]
    )
    return consumer.outputs[0] if fuses else output
