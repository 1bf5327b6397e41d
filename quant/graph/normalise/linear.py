"""Simplification of Gemm and MatMul for the integer kernels of ONNX Runtime.

Rewrite rules:

1. Gemm with a factor alpha and a constant B -> Gemm with alpha = 1 and alpha * B. The integer kernels have no alpha.
2. Gemm with a factor beta and a constant C -> Gemm with beta = 1 and beta * C. The integer kernels have no beta.
3. MatMul, then Add of a constant (1, N) -> the same with a constant (N,). ONNX Runtime fuses the longer shape into a
   Gemm, and then it leaves the weight's DequantizeLinear in the graph.

Requires: constants are initializers.
Ensures: the same outputs up to rounding; a Gemm with constant operands has alpha = beta = 1.
"""

import numpy as np
import onnx_ir as ir

from quant.graph.constants import add_initializer, constant
from quant.graph.names import Names

_FACTORS = {"alpha": 1, "beta": 2}
"""The operand of a Gemm that each factor multiplies."""


def simplify_linear(model: ir.Model) -> None:
    """Apply the rules above to every Gemm and Add of the model, in place."""
    names = Names.of(model.graph)
    for graph in (model.graph, *model.graph.subgraphs()):
        for node in graph:
            if node.op_type == "Gemm" and node.domain == "":
                _fold_gemm_factor(graph, node, "alpha", names)
                _fold_gemm_factor(graph, node, "beta", names)
            elif node.op_type == "Add" and node.domain == "":
                _flatten_bias(graph, node, names)


def _fold_gemm_factor(graph: ir.Graph, gemm: ir.Node, name: str, names: Names) -> None:
    """Multiply a constant operand by its factor `name`, and set the factor to 1."""
    operand = _FACTORS[name]
    factor = gemm.attributes.get_float(name, 1.0)
    value = gemm.inputs[operand] if operand < len(gemm.inputs) else None
    array = constant(value)
    if factor == 1.0 or value is None or array is None:
        return
    scaled = (array.astype(np.float64) * factor).astype(array.dtype)
    gemm.replace_input_with(operand, add_initializer(graph, f"{value.name}_{name}", scaled, names))
    gemm.attributes.add(ir.AttrFloat32(name, 1.0))


def _flatten_bias(graph: ir.Graph, add: ir.Node, names: Names) -> None:
    """Drop the first axis of a constant bias (1, N) of a MatMul."""
    for operand, value in enumerate(add.inputs):
        array, other = constant(value), add.inputs[1 - operand]
        producer = other.producer() if other is not None else None
        if value is None or array is None or producer is None or producer.op_type != "MatMul":
            continue
        if array.ndim == 2 and array.shape[0] == 1 and array.shape[1] > 1:
            add.replace_input_with(operand, add_initializer(graph, f"{value.name}_flat", array.reshape(-1), names))
