"""Folding what is computed from constants alone: a weight behind it becomes a weight of its own."""

import math

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import helper

from quant.graph.constants import add_initializer, constant_tensor
from quant.runtime import Session

IR_VERSION = 10
REARRANGING = frozenset(
    {"Cast", "Concat", "Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}
)
ARITHMETIC = frozenset(
    {"Add", "Div", "Mul", "Neg", "Pow", "Reciprocal", "ReduceL2", "ReduceSum", "ReduceSumSquare", "Sqrt", "Sub"}
)
"""What weight normalisation is made of."""
COUNTING = frozenset({"ConstantOfShape", "Gather", "Shape"})
"""What exporters reckon borders and sizes with."""
TRAPLESS = frozenset({"Add", "Mul", "Neg", "Sub"})
"""Arithmetic that integers cannot end the process with, as a division by zero does."""


def fold_constants(model: ir.Model) -> None:
    """Replace what is computed from constants alone by what ONNX Runtime computes, in bodies too.

    Nothing that takes more elements than all constants of the model together is folded: doubling them thirty times
    takes a few bytes of a file.
    """
    graphs = (model.graph, *model.graph.subgraphs())
    held = (value.const_value for graph in graphs for value in graph.initializers.values())
    most = sum(tensor.size for tensor in held if tensor is not None)
    sessions: dict[bytes, Session] = {}
    for graph in graphs:
        for node in list(graph):
            if (
                node.op_type in REARRANGING | ARITHMETIC | COUNTING
                and node.domain == ""
                and not node.outputs[0].is_graph_output()
            ):
                _fold(graph, node, most, model.opset_imports[""], sessions)


def _fold(graph: ir.Graph, node: ir.Node, most: int, opset: int, sessions: dict[bytes, Session]) -> None:
    found = [constant_tensor(value) for value in node.inputs]
    known = {f"input_{index}": tensor for index, tensor in enumerate(found) if tensor is not None}
    missing = sum(value is not None for value in node.inputs) - len(known)
    if missing or not known:
        return
    if any(tensor.dtype.numpy().kind not in _kinds(node, name) for name, tensor in known.items()):
        return
    output = node.outputs[0]
    if node.op_type == "Identity":
        (source,) = node.inputs
        assert source is not None, "it is constant"
        output.replace_all_uses_with(source)
    elif _elements(node, list(known.values())) <= most:
        folded = _computed(node, known, opset, sessions)
        output.replace_all_uses_with(add_initializer(graph, f"{output.name}_constant", folded))
    else:
        return
    graph.remove(node, safe=True)


def _kinds(node: ir.Node, name: str) -> str:
    """NumPy's kinds of what may be computed: an integer division by zero ends the process; what a lookup of floats
    reads is a layer's weight."""
    if node.op_type in TRAPLESS:
        return "fi"
    if node.op_type == "Gather":
        return "i"
    return "f" if node.op_type in ARITHMETIC and (name == "input_0" or not _is_reduction(node)) else "fiub"


def _is_reduction(node: ir.Node) -> bool:
    return node.op_type.startswith("Reduce")


def _elements(node: ir.Node, arrays: list[ir.TensorProtocol]) -> int:
    """At least as many elements as the node gives."""
    if node.op_type in ARITHMETIC and not _is_reduction(node):
        return math.prod(np.broadcast_shapes(*(tuple(array.shape.numpy()) for array in arrays)))
    if node.op_type == "ConstantOfShape":
        return math.prod(arrays[0].numpy().tolist())
    if node.op_type == "Gather":
        return int(arrays[0].size * arrays[1].size)
    return sum(array.size for array in arrays)


def _computed(
    node: ir.Node, known: dict[str, ir.TensorProtocol], opset: int, sessions: dict[bytes, Session]
) -> ir.TensorProtocol:
    """What the node gives; computed anew whenever it is read, where an input is read from a file each time.

    `sessions` are those of the nodes so far: exporters repeat themselves.
    """
    feeds = {name: tensor.numpy() for name, tensor in known.items()}
    alone = _alone(node, feeds, opset)
    if alone not in sessions:
        sessions[alone] = Session(alone, f"node {node.name!r}", threads=1)
    folded = sessions[alone].run(feeds)[0]
    if not any(isinstance(tensor, ir.LazyTensor) for tensor in known.values()):
        return ir.tensor(folded)

    def read() -> ir.TensorProtocol:
        return ir.tensor(Session(alone, threads=1).run({name: tensor.numpy() for name, tensor in known.items()})[0])

    return ir.LazyTensor(read, ir.DataType.from_numpy(folded.dtype), ir.Shape(folded.shape))


def _alone(node: ir.Node, feeds: dict[str, NDArray[np.generic]], opset: int) -> bytes:
    """A model of this node."""
    alone = ir.to_proto(node)
    alone.name = ""
    alone.input[:] = [f"input_{index}" if value is not None else "" for index, value in enumerate(node.inputs)]
    alone.output[:] = ["output"]
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in feeds.items()
    ]
    graph = helper.make_graph([alone], "fold", inputs, [onnx.ValueInfoProto(name="output")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSION)
    data: bytes = model.SerializeToString()
    return data
