"""Weights that are quantized already: codes that a DequantizeLinear reads, or a Cast and a Mul with the scale."""

import onnx_ir as ir

from quant.graph.constants import constant_tensor
from quant.graph.operators import is_cast, is_constant, is_dequantize, is_quantize, rearranges_weight

_MAX_NODES = 8
"""Nodes that are searched between a layer and its stored codes."""
_SUB_BYTE = frozenset({ir.DataType.INT4, ir.DataType.UINT4, ir.DataType.INT2, ir.DataType.UINT2})
"""Types that hold nothing but codes."""


def is_dequantized(value: ir.Value | None) -> bool:
    """Return True if the value is computed from constant codes, perhaps rearranged before or after.

    A DequantizeLinear computes it from codes of any type, a Cast from codes of less than a byte.
    """
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
        dequantized = dequantized or is_dequantize(producer) or _casts_codes(producer)
        value = producer.inputs[0]
    return False


def _casts_codes(node: ir.Node) -> bool:
    """Return True if the node casts a constant of less than a byte per element."""
    tensor = constant_tensor(node.inputs[0]) if is_cast(node) else None
    return tensor is not None and tensor.dtype in _SUB_BYTE
