"""Folding what only rearranges a constant: a weight behind it becomes a weight of its own."""

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import helper

from quant.graph.constants import add_initializer, constant
from quant.runtime import Session

IR_VERSION = 10
FOLDABLE = frozenset({"Identity", "Cast", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten"})


def fold_constants(graph: ir.Graph, opset: int) -> None:
    """Fold every such node of the graph whose inputs are all constant; ONNX Runtime computes what it gives.

    `opset` is the model's.
    """
    for node in list(graph):
        if node.op_type not in FOLDABLE or node.domain != "" or node.outputs[0].is_graph_output():
            continue
        arrays = [constant(value) for value in node.inputs]
        feeds = {f"input_{index}": array for index, array in enumerate(arrays) if array is not None}
        if len(feeds) < len(node.inputs) or any(array.dtype.kind not in "fiub" for array in feeds.values()):
            continue
        folded = feeds["input_0"] if node.op_type == "Identity" else _run(node, feeds, opset)
        node.outputs[0].replace_all_uses_with(add_initializer(graph, f"{node.outputs[0].name}_constant", folded))
        graph.remove(node, safe=True)


def _run(node: ir.Node, feeds: dict[str, NDArray[np.generic]], opset: int) -> NDArray[np.generic]:
    alone = ir.to_proto(node)
    alone.input[:], alone.output[:] = list(feeds), ["output"]
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in feeds.items()
    ]
    graph = helper.make_graph([alone], "fold", inputs, [onnx.ValueInfoProto(name="output")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSION)
    return Session(model.SerializeToString(), f"node {node.name!r}").run(feeds)[0]
