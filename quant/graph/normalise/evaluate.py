"""Evaluation of constant expressions: nodes that compute the same values whatever the model's inputs are.

ONNX Runtime computes the values, one node at a time. A node is not evaluated if

- it draws random numbers, has a body, or quantizes or dequantizes;
- an input or output has a type that NumPy does not have, or is no tensor;
- it divides integers by zero or by -1, which could end the process;
- its result could be larger than `MAX_BYTES` and than four times all constants of the model: a file of a few bytes can
  double a constant thirty times. All results together may have `MAX_RESULTS` times as many bytes.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from quant.errors import ModelError
from quant.graph.constants import constant_tensor
from quant.graph.operators import is_random
from quant.runtime import Session

IR_VERSION = 10
MAX_BYTES = 16 << 20
"""The size in bytes that a result may have in any model."""
MAX_RESULTS = 16
"""The ratio of the bytes of all results to the largest size of one."""
MAX_SHAPE_ELEMENTS = 1024
"""The most elements of an input whose values shape inference gets: shapes, sizes and repeats are small."""
_STAYS = frozenset({"Constant", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})
_DIVISIONS = frozenset({"Div", "Mod"})
_SELECTIONS = frozenset({"Compress", "NonZero", "Unique"})
"""Operators that return at most one value, or one index per axis, for each element; their shape is known afterwards."""

Results = dict[ir.Value, ir.TensorProtocol]
"""The values of constant expressions, in the order in which they are computed."""


def evaluate_constants(model: ir.Model) -> Results:
    """Return the value of each output of each constant expression, in bodies too.

    Some weights stay in their file and are read at each use. A result that depends on one is computed at each use, too.

    Requires: constants are initializers; nodes are in topological order.
    """
    graphs = (model.graph, *model.graph.subgraphs())
    constants = (value.const_value for graph in graphs for value in graph.initializers.values())
    max_bytes = max(MAX_BYTES, 4 * sum(tensor.nbytes for tensor in constants if tensor is not None))
    evaluator = _Evaluator(model.opset_imports[""], max_bytes)
    results: Results = {}
    for graph in graphs:
        for node in graph:
            inputs = _constant_inputs(node, results) if _is_deterministic(node) else None
            outputs = None if inputs is None else evaluator.evaluate(node, inputs)
            if outputs is not None:
                results.update(zip(node.outputs, outputs, strict=True))
    return results


def _is_deterministic(node: ir.Node) -> bool:
    bodies = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
    has_body = any(attribute.type in bodies for attribute in node.attributes.values())
    return node.domain == "" and node.op_type not in _STAYS and not is_random(node) and not has_body


def _constant_inputs(node: ir.Node, results: Results) -> dict[str, ir.TensorProtocol] | None:
    """Return the inputs by name; None if one is computed, has a type that is not evaluated, or divides by zero.

    None as well if there are no inputs, or if the node computes an output of its graph.
    """
    tensors = [None if value is None else results.get(value, constant_tensor(value)) for value in node.inputs]
    inputs = {f"input_{index}": tensor for index, tensor in enumerate(tensors) if tensor is not None}
    computed = sum(value is not None for value in node.inputs) - len(inputs)
    if computed or not inputs or any(value.is_graph_output() for value in node.outputs):
        return None
    if any(tensor.dtype.numpy().kind not in "fiub" for tensor in inputs.values()):
        return None
    return None if node.op_type in _DIVISIONS and _ends_process(inputs["input_1"]) else inputs


def _ends_process(divisor: ir.TensorProtocol) -> bool:
    """Return True if integers are divided by 0, or by -1: the smallest integer divided by -1 overflows."""
    return divisor.dtype.numpy().kind != "f" and bool(np.isin(divisor.numpy(), (0, -1)).any())


class _Evaluator:
    """Evaluation of single nodes in ONNX Runtime. Sessions are cached: exporters repeat the same node."""

    def __init__(self, opset: int, max_bytes: int) -> None:
        self._opset, self._max_bytes, self._bytes_left = opset, max_bytes, MAX_RESULTS * max_bytes
        self._sessions: dict[bytes, Session] = {}

    def evaluate(self, node: ir.Node, inputs: Mapping[str, ir.TensorProtocol]) -> list[ir.TensorProtocol] | None:
        """Return the outputs of the node; None if they are too large or are not numbers, or if the node fails."""
        arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
        size = _largest_result(node, arrays, self._opset)
        if size is None or size > min(self._max_bytes, self._bytes_left):
            return None
        model = _single_node_model(node, arrays, self._opset)
        try:
            if model not in self._sessions:
                self._sessions[model] = Session(model, f"node {node.name!r}", threads=1)
            values = self._sessions[model].run(arrays)
        except ModelError:  # such a node fails at run time too, if it is reached
            return None
        if not all(isinstance(value, np.ndarray) and value.dtype.kind in "fiub" for value in values):
            return None
        self._bytes_left -= sum(value.nbytes for value in values)
        if not any(isinstance(tensor, ir.LazyTensor) for tensor in inputs.values()):
            return [ir.tensor(value) for value in values]
        return [_lazy(model, inputs, number, value) for number, value in enumerate(values)]


def _lazy(
    model: bytes, inputs: Mapping[str, ir.TensorProtocol], number: int, value: NDArray[np.generic]
) -> ir.LazyTensor:
    """Return the output of this number as a tensor that is computed whenever it is used; `value` has its type."""

    def read() -> ir.TensorProtocol:
        arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
        return ir.tensor(Session(model, threads=1).run(arrays)[number])

    return ir.LazyTensor(read, ir.DataType.from_numpy(value.dtype), ir.Shape(value.shape))


def _largest_result(node: ir.Node, arrays: Mapping[str, NDArray[np.generic]], opset: int) -> int | None:
    """Return an upper bound of the bytes of the node's outputs; None if shape inference gives none."""
    if node.op_type in _SELECTIONS:
        return sum(8 * max(array.ndim, 1) * array.size for array in arrays.values()) * len(node.outputs)
    model = onnx.load_model_from_string(_single_node_model(node, arrays, opset))
    small = {name: array for name, array in arrays.items() if array.size <= MAX_SHAPE_ELEMENTS}
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(array), name) for name, array in small.items())
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except onnx.shape_inference.InferenceError:
        return None
    sizes = [_bytes(output.type.tensor_type) for output in inferred.graph.output]
    return None if any(size is None for size in sizes) else sum(size for size in sizes if size is not None)


def _bytes(kind: onnx.TypeProto.Tensor) -> int | None:
    """Return the bytes of a tensor of this type; None if its shape is not known."""
    dims = kind.shape.dim
    if not kind.HasField("shape") or not all(dim.HasField("dim_value") for dim in dims):
        return None
    return 8 * math.prod(int(dim.dim_value) for dim in dims)


def _single_node_model(node: ir.Node, feeds: Mapping[str, NDArray[np.generic]], opset: int) -> bytes:
    """Return a serialized model whose only node is this one, with the inputs of `feeds`."""
    proto = ir.to_proto(node)
    proto.name = ""
    proto.input[:] = [f"input_{index}" if value is not None else "" for index, value in enumerate(node.inputs)]
    outputs: Sequence[str] = [f"output_{index}" for index in range(len(node.outputs))]
    proto.output[:] = outputs
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in feeds.items()
    ]
    graph = helper.make_graph([proto], "fold", inputs, [onnx.ValueInfoProto(name=name) for name in outputs])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSION)
    data: bytes = model.SerializeToString()
    return data
