"""Weight-only Gemm and MatMul layers written so that ONNX Runtime fuses them to MatMulNBits."""

import onnx_ir as ir

from quant.graph.inventory import Layer
from quant.graph.names import Names


def replace_with_matmul(layer: Layer, weight: ir.Value, names: Names) -> None:
    """Replace the layer by a MatMul with `weight` (K, N), and an Add if it has a bias, in place.

    Requires: the layer is a MatMul with its weight on the right, or a Gemm without factors whose input is not
    transposed.
    """
    graph, node, bias = layer.graph, layer.node, layer.bias
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
    substitute(graph, output, result, names)


def substitute(graph: ir.Graph, old: ir.Value, new: ir.Value, names: Names) -> None:
    """Let `new` take over the name, type, shape and readers of `old`, and remove the node of `old`."""
    node = old.producer()
    assert node is not None, "a value that is replaced has a node"
    new.type, new.shape = old.type, old.shape
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    name, old.name = old.name, names.value(f"{old.name}_replaced")
    new.name = name
    graph.remove(node, safe=True)
