"""Computing in FP32 what a model computes in FP16 or BF16: no CPU kernel is faster in them, and BF16 has none.

Ensures: no tensor of the model is FP16 or BF16 but its inputs and outputs that were FP16: they keep their type, behind
a Cast. BF16 inputs and outputs become FP32, since NumPy has no BF16. The weights keep their values, which FP32 holds
exactly; the outputs differ by the rounding that is left out.
"""

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common as passes

HALVES = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16})
_FLOATS = HALVES | {ir.DataType.FLOAT}
_TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype")
"""Attributes whose integer names the type of what a node makes."""


def has_bfloat16(model: ir.Model) -> bool:
    """Whether anything in the model is BF16: ONNX Runtime's CPU kernels then cannot run it."""
    return ir.DataType.BFLOAT16 in _types(model)


def to_float32(model: ir.Model) -> bool:
    """Rewrite the model in place to the form above; whether it was not in it yet."""
    if not HALVES & _types(model):
        return False
    passes.ShapeInferencePass()(model)  # tells which Cast changes nothing any more
    for graph in (model.graph, *model.graph.subgraphs()):
        for node in list(graph):
            if _is_void_cast(node) and not node.outputs[0].is_graph_output():
                node.outputs[0].replace_all_uses_with(node.inputs[0])  # type: ignore[arg-type]
                graph.remove(node, safe=True)
    kept = [value for value in (*model.graph.inputs, *model.graph.outputs) if value.dtype == ir.DataType.FLOAT16]
    for graph in (model.graph, *model.graph.subgraphs()):
        _retype(graph)
    for value in kept:
        (_cast_output if value.is_graph_output() else _cast_input)(model.graph, value)
    return True


def _types(model: ir.Model) -> set[ir.DataType]:
    found = {value.dtype for graph in (model.graph, *model.graph.subgraphs()) for value in _values(graph)}
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        for attribute in node.attributes.values():
            if attribute.name in _TYPE_ATTRIBUTES and attribute.type == ir.AttributeType.INT:
                found.add(ir.DataType(attribute.as_int()))
            elif attribute.type == ir.AttributeType.TENSOR:
                found.add(attribute.as_tensor().dtype)
    return {dtype for dtype in found if dtype is not None}


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.inputs
    yield from graph.initializers.values()
    for node in graph:
        yield from node.outputs


def _is_void_cast(node: ir.Node) -> bool:
    """A Cast from one of FP32, FP16 and BF16 to another."""
    source = node.inputs[0] if node.op_type == "Cast" else None
    return source is not None and source.dtype in _FLOATS and ir.DataType(node.attributes.get_int("to", 0)) in _FLOATS


def _retype(graph: ir.Graph) -> None:
    for value in _values(graph):
        if value.const_value is not None and value.const_value.dtype in HALVES:
            value.const_value = _widened(value.const_value)
        if value.dtype in HALVES:
            value.dtype = ir.DataType.FLOAT
    for node in graph:
        for name, attribute in list(node.attributes.items()):
            if attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype in HALVES:
                node.attributes.add(ir.AttrTensor(name, _widened(attribute.as_tensor())))
            elif (
                name in _TYPE_ATTRIBUTES
                and attribute.type == ir.AttributeType.INT
                and ir.DataType(attribute.as_int()) in HALVES
            ):
                node.attributes.add(ir.AttrInt64(name, ir.DataType.FLOAT))


def _widened(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    def read() -> ir.TensorProtocol:
        return ir.tensor(tensor.numpy().astype(np.float32), name=tensor.name)

    if not isinstance(tensor, ir.LazyTensor):
        return read()
    return ir.LazyTensor(read, ir.DataType.FLOAT, ir.Shape(tensor.shape.numpy()), name=tensor.name)


def _cast_input(graph: ir.Graph, value: ir.Value) -> None:
    """The input in FP16 as before; everything that read it reads it in FP32."""
    value.dtype = ir.DataType.FLOAT16
    cast = _cast(value, ir.DataType.FLOAT, f"{value.name}_float32")
    value.replace_all_uses_with(cast.outputs[0])
    cast.replace_input_with(0, value)
    graph.insert_before(graph[0], cast)


def _cast_output(graph: ir.Graph, value: ir.Value) -> None:
    """The output in FP16 under its name; what computed it, and what else read it, in FP32 under another."""
    name = str(value.name)
    value.name = f"{name}_float32"
    cast = _cast(value, ir.DataType.FLOAT16, name)
    graph.append(cast)
    for index, output in enumerate(graph.outputs):
        if output is value:
            graph.outputs[index] = cast.outputs[0]


def _cast(source: ir.Value, dtype: ir.DataType, name: str) -> ir.Node:
    output = ir.Value(name=name, type=ir.TensorType(dtype), shape=source.shape)
    return ir.Node("", "Cast", [source], [ir.AttrInt64("to", dtype)], outputs=[output], name=f"{name}_cast")
