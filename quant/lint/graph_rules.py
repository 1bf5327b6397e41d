"""Rules on the nodes of the graph, its versions and its inputs."""

from collections.abc import Iterator

import onnx_ir as ir
from onnx_ir.passes import common as passes

from quant.graph.constants import constant_tensor
from quant.graph.operators import is_cast, is_dequantize, is_quantize, is_rectifier, reads_shape_only
from quant.graph.uses import only_use
from quant.lint.quantized_graph import QuantizedGraph, Violation


def quantized_inputs(graph: QuantizedGraph) -> Iterator[Violation]:
    """Yield the layers with a quantized weight and a float input, where the machine needs both quantized."""
    for weight in graph.weights if graph.limits.quantized_inputs else ():
        if not weight.operator.lookup and not weight.has_quantized_input:
            detail = "the weight is quantized and the input is float"
            yield Violation(weight.name, detail, "quantized activations, or a rule with skip true for the layer")


def fused_rectifiers(graph: QuantizedGraph) -> Iterator[Violation]:
    """Yield the layers that a QuantizeLinear separates from the Relu or Clip after them."""
    for weight in graph.weights if graph.limits.quantized_inputs else ():
        quantize, _ = only_use(weight.node.outputs[0])
        dequantize, _ = (None, 0) if quantize is None or not is_quantize(quantize) else only_use(quantize.outputs[0])
        reader, _ = (None, 0) if dequantize is None else only_use(dequantize.outputs[0])
        if reader is not None and is_rectifier(reader):
            detail = f"a QuantizeLinear separates the layer from its {reader.op_type}"
            yield Violation(weight.name, detail, "a QuantizeLinear after the activation")


def float_nodes(graph: QuantizedGraph) -> Iterator[Violation]:
    """Yield the operators on floats without quantized inputs and outputs, where the machine needs the whole graph."""
    if not graph.limits.whole:
        return
    passes.ShapeInferencePass()(graph.model)
    for node in graph.model.graph:
        if is_quantize(node) or is_dequantize(node) or is_cast(node) or reads_shape_only(node):
            continue
        inputs = [value for value in node.inputs if value is not None and constant_tensor(value) is None]
        floats = [value for value in inputs if value.dtype == ir.DataType.FLOAT]
        read = all(_is_dequantized(value) or _is_fused(value) for value in floats)
        written = all(_is_quantized(value) for value in node.outputs if value.dtype == ir.DataType.FLOAT)
        if not (read and written) and not _is_weight_part(node):
            detail = f"{node.op_type} has float inputs or outputs"
            yield Violation(str(node.name), detail, "quantized inputs and outputs of every operator")


def _is_quantized(value: ir.Value) -> bool:
    """Return True if only QuantizeLinear nodes read the value, or one rectifier whose output only they read."""
    readers = [use.node for use in value.uses()]
    if value.is_graph_output() or not readers:
        return False
    if len(readers) == 1 and is_rectifier(readers[0]):
        return _is_quantized(readers[0].outputs[0])
    return all(is_quantize(reader) for reader in readers)


def _is_dequantized(value: ir.Value) -> bool:
    producer = value.producer()
    return producer is not None and is_dequantize(producer)


def _is_fused(value: ir.Value) -> bool:
    """Return True if the value is read by the rectifier that is fused with the layer which computes it."""
    reader, _ = only_use(value)
    return reader is not None and is_rectifier(reader) and value.producer() is not None


def _is_weight_part(node: ir.Node) -> bool:
    """Return True if the node computes from constants only."""
    return all(value is None or constant_tensor(value) is not None for value in node.inputs)


def opset(graph: QuantizedGraph) -> Iterator[Violation]:
    """Yield the model if its opset is later than the machine reads."""
    highest, version = graph.limits.max_opset, graph.model.opset_imports.get("", 0)
    if highest is not None and version > highest:
        yield Violation(str(graph.model.graph.name), f"the model has opset {version}", f"export.max_opset {highest}")


def fixed_shapes(graph: QuantizedGraph) -> Iterator[Violation]:
    """Yield the inputs with axes of any size, where the machine needs fixed sizes."""
    for value in graph.model.graph.inputs if graph.limits.fixed_shapes else ():
        if value.shape is None or not all(isinstance(size, int) for size in value.shape):
            yield Violation(str(value.name), "the input has an axis of any size", "a model with fixed input shapes")


def refused(graph: QuantizedGraph) -> Iterator[Violation]:
    """Yield the nodes of operators that the machine does not take."""
    for node in graph.nodes:
        if graph.limits.refused.intersection((node.op_type,)):
            yield Violation(
                str(node.name), f"the machine does not take {node.op_type}", f"a model without {node.op_type}"
            )
