"""Constant folding.

Rewrite rules:

1. Identity of a constant -> the constant.
2. A node of `REARRANGING`, `ARITHMETIC` or `COUNTING` whose inputs are all constant -> an initializer with the value
   that ONNX Runtime computes.

A node stays if its result has more elements than all constants of the model together, if it is a graph output, or if
its types could end the process (see `_foldable_kinds`).

Requires: constants are initializers.
Ensures: the same outputs; a weight that other constants are rearranged or computed into is an initializer.
"""

import math
from collections.abc import Mapping

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import helper

from quant.graph.constants import add_initializer, constant_tensor
from quant.graph.names import Names
from quant.runtime import Session

IR_VERSION = 10
REARRANGING = frozenset(
    {"Cast", "Concat", "Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}
)
ARITHMETIC = frozenset(
    {"Add", "Div", "Mul", "Neg", "Pow", "Reciprocal", "ReduceL2", "ReduceSum", "ReduceSumSquare", "Sqrt", "Sub"}
)
"""The operators of weight normalization."""
COUNTING = frozenset({"ConstantOfShape", "Gather", "Shape"})
"""The operators with which exporters compute borders and sizes."""
TRAPLESS = frozenset({"Add", "Mul", "Neg", "Sub"})
"""Arithmetic that is safe for integers: it cannot divide by zero, which would end the process."""


def fold_constants(model: ir.Model) -> None:
    """Replace constant expressions by their values in place, in bodies too.

    A result may have at most as many elements as all constants of the model together: a file of a few bytes can
    double a constant thirty times.
    """
    graphs = (model.graph, *model.graph.subgraphs())
    constants = (value.const_value for graph in graphs for value in graph.initializers.values())
    max_elements = sum(tensor.size for tensor in constants if tensor is not None)
    names = Names.of(model.graph)
    evaluator = _Evaluator(model.opset_imports[""])
    for graph in graphs:
        for node in list(graph):
            _fold(graph, node, max_elements, evaluator, names)


def _fold(graph: ir.Graph, node: ir.Node, max_elements: int, evaluator: "_Evaluator", names: Names) -> None:
    inputs = _constant_inputs(node) if _is_foldable(node) else None
    if inputs is None:
        return
    output = node.outputs[0]
    if node.op_type == "Identity":
        (source,) = node.inputs
        assert source is not None, "it is constant"
        output.replace_all_uses_with(source)
    elif _max_elements(node, list(inputs.values())) <= max_elements:
        folded = evaluator.evaluate(node, inputs)
        output.replace_all_uses_with(add_initializer(graph, f"{output.name}_constant", folded, names))
    else:
        return
    graph.remove(node, safe=True)


def _is_foldable(node: ir.Node) -> bool:
    known = node.domain == "" and node.op_type in REARRANGING | ARITHMETIC | COUNTING
    return known and not node.outputs[0].is_graph_output()


def _constant_inputs(node: ir.Node) -> dict[str, ir.TensorProtocol] | None:
    """Return the inputs by name; None if one is computed or of a type that is not folded, or if there are none."""
    tensors = [constant_tensor(value) for value in node.inputs]
    inputs = {f"input_{index}": tensor for index, tensor in enumerate(tensors) if tensor is not None}
    computed = sum(value is not None for value in node.inputs) - len(inputs)
    if computed or not inputs:
        return None
    if any(tensor.dtype.numpy().kind not in _foldable_kinds(node, name) for name, tensor in inputs.items()):
        return None
    return inputs


def _foldable_kinds(node: ir.Node, name: str) -> str:
    """Return NumPy's kinds of types that may be folded for this input.

    An integer division by zero would end the process. Gather is folded for integers only: a table of floats is the
    weight of an embedding, which stays a layer.
    """
    if node.op_type in TRAPLESS:
        return "fi"
    if node.op_type == "Gather":
        return "i"
    return "f" if node.op_type in ARITHMETIC and (name == "input_0" or not _is_reduction(node)) else "fiub"


def _is_reduction(node: ir.Node) -> bool:
    return node.op_type.startswith("Reduce")


def _max_elements(node: ir.Node, inputs: list[ir.TensorProtocol]) -> int:
    """Return an upper bound of the number of elements of the node's output."""
    if node.op_type in ARITHMETIC and not _is_reduction(node):
        return math.prod(np.broadcast_shapes(*(tuple(tensor.shape.numpy()) for tensor in inputs)))
    if node.op_type == "ConstantOfShape":
        return math.prod(inputs[0].numpy().tolist())
    if node.op_type == "Gather":
        return int(inputs[0].size * inputs[1].size)
    return sum(tensor.size for tensor in inputs)


class _Evaluator:
    """Evaluation of single nodes in ONNX Runtime. Sessions are cached: exporters repeat the same node."""

    def __init__(self, opset: int) -> None:
        self._opset = opset
        self._sessions: dict[bytes, Session] = {}

    def evaluate(self, node: ir.Node, inputs: Mapping[str, ir.TensorProtocol]) -> ir.TensorProtocol:
        """Return the first output of the node.

        If an input is read from a file whenever it is used, the output is computed whenever it is used.
        """
        feeds = {name: tensor.numpy() for name, tensor in inputs.items()}
        model = _single_node_model(node, feeds, self._opset)
        if model not in self._sessions:
            self._sessions[model] = Session(model, f"node {node.name!r}", threads=1)
        folded = self._sessions[model].run(feeds)[0]
        if not any(isinstance(tensor, ir.LazyTensor) for tensor in inputs.values()):
            return ir.tensor(folded)

        def read() -> ir.TensorProtocol:
            arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
            return ir.tensor(Session(model, threads=1).run(arrays)[0])

        return ir.LazyTensor(read, ir.DataType.from_numpy(folded.dtype), ir.Shape(folded.shape))


def _single_node_model(node: ir.Node, feeds: Mapping[str, NDArray[np.generic]], opset: int) -> bytes:
    """Return a serialized model whose only node is this one, with the inputs of `feeds`."""
    proto = ir.to_proto(node)
    proto.name = ""
    proto.input[:] = [f"input_{index}" if value is not None else "" for index, value in enumerate(node.inputs)]
    proto.output[:] = ["output"]
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in feeds.items()
    ]
    graph = helper.make_graph([proto], "fold", inputs, [onnx.ValueInfoProto(name="output")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSION)
    data: bytes = model.SerializeToString()
    return data
