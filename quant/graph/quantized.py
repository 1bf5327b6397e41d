"""Layers that are quantized already: as integer operators, or with a weight that is dequantized."""

import onnx_ir as ir

INTEGER_OPERATORS = {
    "": ("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"),
    "com.microsoft": (
        "QGemm", "MatMulNBits", "MatMulBnb4", "MatMulIntegerToFloat", "MatMulInteger16", "DynamicQuantizeMatMul",
        "DynamicQuantizeLSTM", "GatherBlockQuantized", "QAttention", "QOrderedMatMul", "QMoE",
    ),
}  # fmt: skip
_MOVING = ("Cast", "Gather", "GatherElements", "Identity", "Mul", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""What may lie between a stored weight, its DequantizeLinear and the layer."""
_DEEPEST = 8


def computes_with_integers(node: ir.Node) -> bool:
    return node.op_type in INTEGER_OPERATORS.get(node.domain, ())


def is_dequantized(value: ir.Value | None) -> bool:
    """Whether a weight is what DequantizeLinear makes of constant codes, moved around or not."""
    dequantized = False
    for _ in range(_DEEPEST):
        maker = None if value is None else value.producer()
        if maker is None:
            return dequantized and value is not None and value.is_initializer()
        if maker.op_type == "Constant":
            return dequantized
        if maker.op_type != "DequantizeLinear" and maker.op_type not in _MOVING:
            return False
        dequantized = dequantized or maker.op_type == "DequantizeLinear"
        value = maker.inputs[0]
    return False
