"""Weight-only Gemm and MatMul layers written so that ONNX Runtime fuses them to MatMulNBits."""

import numpy as np
import onnx_ir as ir

from quant.graph.constants import add_initializer
from quant.graph.inventory import Layer
from quant.graph.names import Names
from quant.graph.operators import is_rectifier, is_relu


def replace_with_matmul(layer: Layer, weight: ir.Value, names: Names) -> None:
    """Replace the layer by a MatMul with `weight` (K, N), and an Add if it has a bias, in place.

    A Relu or Clip that feeds the layer is rewritten too, because ONNX Runtime does not fuse a MatMul behind those.

    Requires: the layer is a MatMul with its weight on the right, or a Gemm without factors whose input is not
    transposed.
    """
    graph, node, bias = layer.graph, layer.node, layer.bias
    _replace_rectifier(graph, layer.operand(layer.input_index), names)
    source, output = layer.operand(layer.input_index), node.outputs[0]
    name = node.name if bias is None else names.node(f"{node.name}_matmul")
    matmul = ir.Node("", "MatMul", [source, weight], num_outputs=1, name=name)
    graph.insert_before(node, matmul)
    result = matmul.outputs[0]
    if bias is not None:
        result.name = names.value(f"{output.name}_product")
        add = ir.Node("", "Add", [result, bias], num_outputs=1, name=node.name)
        graph.insert_before(node, add)
        result = add.outputs[0]
    _substitute(graph, output, result, names)


def _replace_rectifier(graph: ir.Graph, value: ir.Value, names: Names) -> None:
    """Replace the Relu or Clip that makes `value` by an equal Max(x, 0) or Min(Max(x, a), b)."""
    node = value.producer()
    if node is None or not is_rectifier(node) or node.graph is not graph:
        return
    if is_relu(node):
        steps = [("Max", add_initializer(graph, f"{node.name}_zero", np.zeros((), np.float32), names))]
    else:
        bounds = zip(("Max", "Min"), node.inputs[1:], strict=False)
        steps = [(op, bound) for op, bound in bounds if bound is not None]
    current = node.inputs[0]
    for op, bound in steps:
        name = names.node(f"{node.name}_{op.lower()}")
        step = ir.Node("", op, [current, bound], num_outputs=1, name=name)
        step.outputs[0].name = names.value(f"{value.name}_{op.lower()}")
        graph.insert_before(node, step)
        current = step.outputs[0]
    if current is not None and steps:
        _substitute(graph, value, current, names)


def _substitute(graph: ir.Graph, old: ir.Value, new: ir.Value, names: Names) -> None:
    """Let `new` take over the name, type, shape and readers of `old`, and remove the node of `old`."""
    node = old.producer()
    assert node is not None, "a value that is replaced has a node"
    new.type, new.shape = old.type, old.shape
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    name, old.name = old.name, names.value(f"{old.name}_replaced")
    new.name = name
    graph.remove(node, safe=True)
