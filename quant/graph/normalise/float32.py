"""Widening of FP16 and BF16 models to FP32: no CPU kernel is faster in them, and BF16 has none.

Rewrite rules:

1. A Cast between FP32, FP16 and BF16 -> its input.
2. An FP16 or BF16 tensor, attribute or type attribute -> the same in FP32.
3. An FP16 input -> the input, and a Cast to FP32 after it.
4. An FP16 output -> a Cast to FP16, and the output after it.

Requires: no local functions.
Ensures: no tensor is FP16 or BF16 but FP16 inputs and outputs of the model. BF16 inputs and outputs become FP32, since
NumPy has no BF16. FP32 holds the weights exactly; the outputs differ by the rounding that is left out.
"""

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common as passes

from quant.graph.names import Names

HALVES = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16})
_FLOATS = HALVES | {ir.DataType.FLOAT}
_TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype")
"""Attributes whose integer is the type of the node's output."""


def has_bfloat16(model: ir.Model) -> bool:
    """Return True if any tensor of the model is BF16. ONNX Runtime's CPU kernels cannot run such a model."""
    return ir.DataType.BFLOAT16 in _types(model)


def to_float32(model: ir.Model) -> bool:
    """Rewrite the model in place to compute in FP32, and return True if that changed it."""
    if not HALVES & _types(model):
        return False
    passes.ShapeInferencePass()(model)  # so that the types on both sides of each Cast are known
    for graph in (model.graph, *model.graph.subgraphs()):
        _remove_float_casts(graph)
    ends = dict.fromkeys((*model.graph.inputs, *model.graph.outputs))
    halves = [value for value in ends if value.dtype == ir.DataType.FLOAT16]
    names = Names.of(model.graph)
    for graph in (model.graph, *model.graph.subgraphs()):
        _widen_values(graph)
        _widen_attributes(graph)
    for value in halves:
        (_cast_input if value.is_graph_input() else _cast_output)(model.graph, value, names)
    return True


def _types(model: ir.Model) -> set[ir.DataType]:
    """Return the types of all values and attributes of the model."""
    types = {value.dtype for graph in (model.graph, *model.graph.subgraphs()) for value in _values(graph)}
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        types |= {_attribute_type(attribute) for attribute in node.attributes.values()}
    return {dtype for dtype in types if dtype is not None}


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.inputs
    yield from graph.initializers.values()
    for node in graph:
        yield from node.outputs


def _attribute_type(attribute: ir.Attr) -> ir.DataType | None:
    """Return the type that an attribute names, or that its tensor has; None for other attributes."""
    if attribute.name in _TYPE_ATTRIBUTES and attribute.type == ir.AttributeType.INT:
        return ir.DataType(attribute.as_int())
    return attribute.as_tensor().dtype if attribute.type == ir.AttributeType.TENSOR else None


def _remove_float_casts(graph: ir.Graph) -> None:
    for node in list(graph):
        if _is_float_cast(node) and not node.outputs[0].is_graph_output():
            node.outputs[0].replace_all_uses_with(node.inputs[0])  # type: ignore[arg-type]
            graph.remove(node, safe=True)


def _is_float_cast(node: ir.Node) -> bool:
    """Return True for a Cast from FP32, FP16 or BF16 to one of these."""
    source = node.inputs[0] if node.op_type == "Cast" else None
    return source is not None and source.dtype in _FLOATS and ir.DataType(node.attributes.get_int("to", 0)) in _FLOATS


def _widen_values(graph: ir.Graph) -> None:
    for value in _values(graph):
        if value.const_value is not None and value.const_value.dtype in HALVES:
            value.const_value = _widened(value.const_value)
        if value.dtype in HALVES:
            value.dtype = ir.DataType.FLOAT


def _widen_attributes(graph: ir.Graph) -> None:
    for node in graph:
        for name, attribute in list(node.attributes.items()):
            if _attribute_type(attribute) not in HALVES:
                continue
            if attribute.type == ir.AttributeType.TENSOR:
                node.attributes.add(ir.AttrTensor(name, _widened(attribute.as_tensor())))
            else:
                node.attributes.add(ir.AttrInt64(name, ir.DataType.FLOAT))


def _widened(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    """Return the tensor in FP32. A tensor that is read from a file whenever it is used stays such a tensor."""

    def read() -> ir.TensorProtocol:
        return ir.tensor(tensor.numpy().astype(np.float32), name=tensor.name)

    if not isinstance(tensor, ir.LazyTensor):
        return read()
    return ir.LazyTensor(read, ir.DataType.FLOAT, ir.Shape(tensor.shape.numpy()), name=tensor.name)


def _cast_input(graph: ir.Graph, value: ir.Value, names: Names) -> None:
    """Keep the input in FP16, and let its readers read it in FP32; it may be an output too."""
    value.dtype = ir.DataType.FLOAT16
    cast = _cast(value, ir.DataType.FLOAT, names.value(f"{value.name}_float32"), names)
    for reader, index in value.uses():
        if reader is not cast:
            reader.replace_input_with(index, cast.outputs[0])
    graph.insert_before(graph[0], cast)


def _cast_output(graph: ir.Graph, value: ir.Value, names: Names) -> None:
    """Keep the output in FP16 under its name; the FP32 value that it is cast from gets another name."""
    name = str(value.name)
    value.name = names.value(f"{name}_float32")
    cast = _cast(value, ir.DataType.FLOAT16, name, names)
    graph.append(cast)
    for index, output in enumerate(graph.outputs):
        if output is value:
            graph.outputs[index] = cast.outputs[0]


def _cast(source: ir.Value, dtype: ir.DataType, name: str, names: Names) -> ir.Node:
    output = ir.Value(name=name, type=ir.TensorType(dtype), shape=source.shape)
    node = names.node(f"{name}_cast")
    return ir.Node("", "Cast", [source], [ir.AttrInt64("to", dtype)], outputs=[output], name=node)
