"""Writing a weight-only Gemm or MatMul so that ONNX Runtime fuses it to MatMulNBits."""

import numpy as np
import onnx_ir as ir

from quant.graph.constants import add_initializer
from quant.graph.inventory import Layer
from quant.graph.operators import is_rectifier, is_relu


def as_matmul(layer: Layer, weight: ir.Value) -> None:
    """Replace the layer by a MatMul with `weight` (K, N) and, where it had a bias, an Add.

    Requires: a MatMul with its weight on the right, or a Gemm without factors whose input is not transposed. Also
    rewrites a Relu or Clip that feeds it: behind those ONNX Runtime does not fuse.
    """
    graph, node = layer.graph, layer.node
    source = layer.operand(layer.input_index)
    _as_max_min(graph, source)
    source = layer.operand(layer.input_index)
    bias = layer.bias
    old = node.outputs[0]
    matmul = ir.Node("", "MatMul", [source, weight], num_outputs=1, name=f"{node.name}_matmul" if bias else node.name)
    graph.insert_before(node, matmul)
    new = matmul.outputs[0]
    if bias is not None:
        new.name = f"{old.name}_product"
        add = ir.Node("", "Add", [new, bias], num_outputs=1, name=node.name)
        graph.insert_before(node, add)
        new = add.outputs[0]
    new.type, new.shape = old.type, old.shape
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    name, old.name = old.name, f"{old.name}_replaced"
    new.name = name
    graph.remove(node, safe=True)


def _as_max_min(graph: ir.Graph, value: ir.Value) -> None:
    """Relu(x) as Max(x, 0) and Clip(x, a, b) as Min(Max(x, a), b), which give the same numbers."""
    node = value.producer()
    if node is None or not is_rectifier(node) or node.graph is not graph:
        return
    if is_relu(node):
        steps = [("Max", add_initializer(graph, f"{node.name}_zero", np.zeros((), np.float32)))]
    else:
        bounds = zip(("Max", "Min"), node.inputs[1:], strict=False)
        steps = [(op, bound) for op, bound in bounds if bound is not None]
    current = node.inputs[0]
    for op, bound in steps:
        step = ir.Node("", op, [current, bound], num_outputs=1, name=f"{node.name}_{op.lower()}")
        step.outputs[0].name = f"{value.name}_{op.lower()}"
        graph.insert_before(node, step)
        current = step.outputs[0]
    if current is None or not steps:
        return
    current.type, current.shape = value.type, value.shape
    value.replace_all_uses_with(current, replace_graph_outputs=True)
    name, value.name = value.name, f"{value.name}_replaced"
    current.name = name
    graph.remove(node, safe=True)
