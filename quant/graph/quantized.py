"""Weights that are quantized already: codes behind a DequantizeLinear."""

import onnx_ir as ir

from quant.graph.constants import constant_tensor
from quant.graph.operators import is_constant, is_dequantize, is_quantize, rearranges_weight

_MAX_NODES = 8
"""Nodes that are searched between a layer and its stored codes."""


def is_dequantized(value: ir.Value | None) -> bool:
    """Return True if a DequantizeLinear computes the value from constant codes, perhaps rearranged before or after."""
    dequantized = False
    for _ in range(_MAX_NODES):
        producer = None if value is None else value.producer()
        if producer is None:
            return dequantized and value is not None and value.is_initializer()
        if is_constant(producer):
            return dequantized
        if is_quantize(producer) and dequantized:  # quantization-aware training rounds a float weight in the graph
            return constant_tensor(producer.inputs[0]) is not None
        if not is_dequantize(producer) and not rearranges_weight(producer):
            return False
        dequantized = dequantized or is_dequantize(producer)
        value = producer.inputs[0]
    return False
