"""Simplification of Gemm and MatMul for the integer kernels of ONNX Runtime.

Rewrite rules:

1. Gemm with a factor alpha and a constant B -> Gemm with alpha = 1 and alpha * B. The integer kernels have no alpha.
2. Gemm with a factor beta and a constant C -> Gemm with beta = 1 and beta * C. The integer kernels have no beta.
   Where C is absent, beta is set to 1.
3. Gemm with a constant B (K, N) and a constant C with one value or one per column -> the same with C (N,).
4. Gemm with a constant B and any other C -> Gemm without C, then Add of beta * C. The integer kernels add
   only a constant with one value per column.
5. MatMul, then Add of a constant (1, N) -> the same with a constant (N,), if the product is known to have two axes or
   more. With a constant (1, N), ONNX Runtime makes a Gemm of both, and the weight is dequantized at every inference.

Requires: constants are initializers.
Ensures: the same outputs up to rounding, and of the same rank; a Gemm with constant operands has alpha = beta = 1.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import onnx_ir as ir

from quant.graph.constants import add_initializer, constant
from quant.graph.names import Names
from quant.graph.ranks import ranks_of

_FACTORS = {"alpha": 1, "beta": 2}
"""The operand of a Gemm that each factor multiplies."""
_BIAS = 2
"""The number of a Gemm's operand C."""


def simplify_linear(model: ir.Model) -> None:
    """Apply the rules above to every Gemm and Add of the model, in place."""
    names = Names.of(model.graph)
    graphs = (model.graph, *model.graph.subgraphs())
    for graph in graphs:
        for node in list(graph):
            if node.op_type == "Gemm" and node.domain == "":
                _fold_gemm_factor(graph, node, "alpha", names)
                _fold_gemm_factor(graph, node, "beta", names)
                _simplify_gemm_bias(graph, node, names)
    biases = [bias for graph in graphs for node in graph for bias in _long_biases(node)]
    ranks = ranks_of(model) if biases else {}
    for add, operand in biases:
        _flatten_bias(add, operand, ranks, names)


def _fold_gemm_factor(graph: ir.Graph, gemm: ir.Node, name: str, names: Names) -> None:
    """Multiply a constant operand by its factor `name`, and set the factor to 1; also where the operand is absent."""
    operand = _FACTORS[name]
    factor = gemm.attributes.get_float(name, 1.0)
    value = gemm.inputs[operand] if operand < len(gemm.inputs) else None
    array = constant(value)
    if factor == 1.0 or (value is not None and array is None):
        return
    if value is not None and array is not None:
        scaled = (array.astype(np.float64) * factor).astype(array.dtype)
        gemm.replace_input_with(operand, add_initializer(graph, f"{value.name}_{name}", scaled, names))
    gemm.attributes.add(ir.AttrFloat32(name, 1.0))


def _simplify_gemm_bias(graph: ir.Graph, gemm: ir.Node, names: Names) -> None:
    """Give the bias the shape (N,), or move it into an Add after the Gemm."""
    weight, bias = constant(gemm.inputs[1]), gemm.inputs[_BIAS] if len(gemm.inputs) > _BIAS else None
    if weight is None or weight.ndim != 2 or bias is None:
        return
    columns = weight.shape[0 if gemm.attributes.get_int("transB", 0) else 1]
    array = constant(bias)
    if array is None or array.shape not in ((columns,), (1, columns), (1, 1), (1,), ()):
        _move_bias_after(graph, gemm, bias, names)
    elif array.shape != (columns,):
        flat = np.broadcast_to(array.reshape(-1), (columns,)).copy()
        gemm.replace_input_with(_BIAS, add_initializer(graph, f"{bias.name}_flat", flat, names))


def _move_bias_after(graph: ir.Graph, gemm: ir.Node, bias: ir.Value, names: Names) -> None:
    """Remove the bias of a Gemm and insert an Add of beta times it, which takes over the name of the output."""
    output, name = gemm.outputs[0], gemm.name or gemm.outputs[0].name
    beta = gemm.attributes.get_float("beta", 1.0)
    if beta != 1.0:
        factor = add_initializer(
            graph, f"{name}_beta", np.array(beta, bias.dtype.numpy() if bias.dtype else np.float32), names
        )
        product = ir.Node("", "Mul", [bias, factor], num_outputs=1, name=names.node(f"{name}_beta_mul"))
        product.outputs[0].name = names.value(f"{bias.name}_beta")
        graph.insert_before(gemm, product)
        bias = product.outputs[0]
    gemm.replace_input_with(_BIAS, None)
    gemm.resize_inputs(_BIAS)
    gemm.attributes.add(ir.AttrFloat32("beta", 1.0))
    add = ir.Node("", "Add", [output, bias], num_outputs=1, name=names.node(f"{name}_add_bias"))
    total = add.outputs[0]
    total.type, total.shape = output.type, output.shape
    output.replace_all_uses_with(total, replace_graph_outputs=True)
    add.replace_input_with(0, output)
    graph.insert_after(gemm, add)
    output.name, total.name = names.value(f"{output.name}_unbiased"), output.name


def _long_biases(add: ir.Node) -> Iterator[tuple[ir.Node, int]]:
    """Yield the Add with the number of its operand that is a constant bias (1, N) of a MatMul, if there is one."""
    if add.op_type != "Add" or add.domain != "":
        return
    for operand, value in enumerate(add.inputs):
        array, product = constant(value), add.inputs[1 - operand]
        producer = None if product is None else product.producer()
        if array is None or producer is None or producer.op_type != "MatMul":
            continue
        if array.ndim == 2 and array.shape[0] == 1 and array.shape[1] > 1:
            yield add, operand


def _flatten_bias(add: ir.Node, operand: int, ranks: Mapping[str, int], names: Names) -> None:
    """Remove the first axis of a constant bias (1, N) if the product has two axes, which the sum then keeps."""
    value, product = add.inputs[operand], add.inputs[1 - operand]
    array, graph = constant(value), add.graph
    assert value is not None, "the bias was listed"
    assert array is not None, "the bias is a constant"
    assert product is not None, "the other operand is the output of a MatMul"
    assert isinstance(graph, ir.Graph), "normalised models have no functions"
    if ranks.get(str(product.name), 0) >= 2:
        add.replace_input_with(operand, add_initializer(graph, f"{value.name}_flat", array.reshape(-1), names))
