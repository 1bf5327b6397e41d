"""Biases that ONNX Runtime rounds to int32 itself when it loads a model.

It does so for a Conv with quantized input and weight, a float bias and a quantized output, with the scale of input
times weight. Stored as floats, such biases need neither scales nor a DequantizeLinear, and the codes are the same.
"""

import numpy as np
import onnx_ir as ir

from quant.export.qdq import tidy
from quant.graph.constants import add_initializer, constant
from quant.graph.names import Names
from quant.graph.operators import is_convolution, is_dequantize, is_quantize, is_rectifier
from quant.graph.uses import only_reader

BIAS = 2
"""The number of a Conv's operand that is its bias."""


def store_biases_as_floats(model: ir.Model) -> None:
    """Replace the int32 codes of biases by floats, in place, where ONNX Runtime makes the same codes of them."""
    graph, names = model.graph, Names.of(model.graph)
    for node in list(graph):
        bias = node.inputs[BIAS] if is_convolution(node) and len(node.inputs) > BIAS else None
        dequantize = None if bias is None else bias.producer()
        reader = only_reader(node.outputs[0])
        if reader is not None and is_rectifier(reader):
            reader = only_reader(reader.outputs[0])
        if dequantize is None or not is_dequantize(dequantize) or reader is None or not is_quantize(reader):
            continue
        codes, scale = (constant(value) for value in dequantize.inputs[:2])
        if codes is None or scale is None or codes.dtype != np.int32:
            continue
        floats = (codes * scale.astype(np.float64)).astype(np.float32)
        node.replace_input_with(BIAS, add_initializer(graph, f"{dequantize.outputs[0].name}_float", floats, names))
    tidy(model)
