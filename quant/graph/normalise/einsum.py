"""Rewriting of an Einsum with a constant matrix into a MatMul, which has integer kernels.

Rewrite rules, for a constant W (K, N) or (N, K) of floats, as either operand:

1. Einsum "..k,kn->..n" -> MatMul(x, W).
2. Einsum "..k,nk->..n" -> MatMul(x, W transposed).

Here k is the last letter of the other operand and is summed over, n is the last letter of the output and appears
nowhere else, and `..` stands for one or more other letters, each once, or an ellipsis.

Requires: constants are initializers.
Ensures: the same outputs up to rounding; no such Einsum is left, unless its W could be broadcast along k.
"""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from quant.graph.constants import add_initializer, constant, constant_tensor
from quant.graph.names import Names


@dataclass(frozen=True)
class _Product:
    """The product that an equation describes: operand `weight` is the matrix, (N, K) if it is `transposed`."""

    weight: int
    transposed: bool


def rewrite_einsum(model: ir.Model) -> None:
    """Apply the rules above to every Einsum of the model, in place."""
    names = Names.of(model.graph)
    for graph in (model.graph, *model.graph.subgraphs()):
        for node in graph:
            if node.op_type == "Einsum" and node.domain == "" and len(node.inputs) == 2:
                _rewrite(graph, node, names)


def _rewrite(graph: ir.Graph, node: ir.Node, names: Names) -> None:
    """Turn the node into a MatMul if a rule applies to it."""
    equation = node.attributes.get_string("equation", "").replace(" ", "")
    for number in (1, 0):
        product = _matrix_product(equation, number)
        if product is not None and _is_weight(node, product):
            _become_matmul(graph, node, product, names)
            return


def _matrix_product(equation: str, weight: int) -> _Product | None:
    """Return the product that an equation of two operands describes if operand number `weight` is a matrix."""
    operands, arrow, output = equation.partition("->")
    terms = operands.split(",")
    if len(terms) != 2:
        return None
    matrix, other = terms[weight], terms[1 - weight]
    if not arrow or len(matrix) != 2 or not other[:-1] or output[:-1] != other[:-1]:
        return None
    letters = other.replace("...", "")
    distinct = len(set(letters)) == len(letters) and output[-1] not in letters
    if not distinct or set(matrix) != {other[-1], output[-1]}:
        return None
    return _Product(weight, transposed=matrix[0] == output[-1])


def _is_weight(node: ir.Node, product: _Product) -> bool:
    """Return True if the operand is a constant matrix of floats that is not broadcast along the summed axis."""
    tensor, other = constant_tensor(node.inputs[product.weight]), node.inputs[1 - product.weight]
    if tensor is None or tensor.dtype != ir.DataType.FLOAT or len(tensor.shape) != 2:
        return False
    summed = int(tensor.shape.numpy()[1 if product.transposed else 0])
    declared = None if other is None or other.shape is None else other.shape[-1]
    return declared == summed if isinstance(declared, int) else summed > 1


def _become_matmul(graph: ir.Graph, node: ir.Node, product: _Product, names: Names) -> None:
    """Rewrite the node in place; its name and its output stay."""
    other, weight = node.inputs[1 - product.weight], node.inputs[product.weight]
    array = constant(weight)
    assert weight is not None, "the weight is a constant"
    assert array is not None, "the weight is a constant"
    if product.transposed:
        weight = add_initializer(graph, f"{weight.name}_transposed", np.ascontiguousarray(array.T), names)
    node.op_type = "MatMul"
    node.attributes.pop("equation")
    node.replace_input_with(0, other)
    node.replace_input_with(1, weight)
