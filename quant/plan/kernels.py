"""The kernels that ONNX Runtime computes layers with, in words, read from the graph that it executes."""

from collections.abc import Mapping, Sequence

from quant.evaluation.layer_times import layer_of
from quant.graph.inventory import Layer
from quant.report.dequantized import dequantized_layer
from quant.runtime import ExecutedGraph
from quant.weights.layers import QuantizedLayer
from quant.weights.storage_form import StorageForm

_INTEGER = {
    "QLinearConv": "integer convolution (QLinearConv)",
    "QGemm": "integer matrix product (QGemm)",
    "QLinearMatMul": "integer matrix product (QLinearMatMul)",
    "MatMulIntegerToFloat": "integer matrix product with a float result (MatMulIntegerToFloat)",
    "DynamicQuantizeMatMul": "integer matrix product with inputs rounded by their own range (DynamicQuantizeMatMul)",
    "DynamicQuantizeLSTM": "recurrent layer on integers, with inputs and states rounded by their own range "
    "(DynamicQuantizeLSTM)",
    "MatMulNBits": "matrix product of codes, with inputs rounded to 8 bits in blocks (MatMulNBits)",
}
"""The kernels of ONNX Runtime's CPU provider that read the codes of a weight."""
_ONCE = "weights become floats once, when the model is loaded"
_ALWAYS = "weights become floats at every inference"


def kernels(
    layers: Sequence[QuantizedLayer], executed: ExecutedGraph, names: Mapping[str, tuple[str, str]]
) -> dict[str, str]:
    """Return the kernel of each layer in words, by the layer's name.

    Args:
        layers: the quantized layers.
        executed: the graph that ONNX Runtime executes.
        names: the name and the operator of the layer to which an executed node belongs, by the beginning of its name,
            as `executed_names` returns them.
    """
    operators: dict[str, list[str]] = {}
    for name, operator in executed.nodes:
        operators.setdefault(layer_of(name, names), []).append(operator)
    dequantized = [dequantized_layer(weight, layers) for weight in executed.dequantized]
    always = {quantized.layer.name for quantized in dequantized if quantized is not None}
    first = {layer.layer.node: layer.layer.name for layer in reversed(layers)}
    result = {}
    for quantized in layers:
        layer = quantized.layer
        kernel = _kernel(layer, operators.get(first[layer.node], ()), always=layer.name in always)
        result[layer.name] = kernel or expected_kernel(quantized)
    return result


def expected_kernel(layer: QuantizedLayer) -> str:
    """Return the kernel of a layer in words as its stored form lets expect, without loading the model."""
    if layer.form is StorageForm.MATMUL_NBITS:
        return _INTEGER["MatMulNBits"]
    if layer.form is StorageForm.DYNAMIC:
        return _INTEGER[layer.layer.operator.dynamic_kernel or "DynamicQuantizeMatMul"]
    if layer.form is StorageForm.FOLDED:
        return _float_kernel(layer.layer.op, _ONCE)
    if layer.layer.float_only is None:
        name = layer.layer.weight_operand.integer_kernel or ""
        return _INTEGER.get(name, name)
    return _float_kernel(layer.layer.op, _ONCE)


def _kernel(layer: Layer, operators: Sequence[str], *, always: bool) -> str | None:
    """Return the kernel of a layer among the operators of its executed nodes; None if none of them is known."""
    for operator in operators:
        if operator in _INTEGER:
            return _INTEGER[operator]
    computing = [operator for operator in operators if layer.op in operator]
    return _float_kernel(computing[0], _ALWAYS if always else _ONCE) if computing else None


def _float_kernel(operator: str, when: str) -> str:
    return f"float ({operator}): {when}"
