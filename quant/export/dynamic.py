"""Layers with dynamic activations: the model rounds their inputs by the range of the inputs themselves.

A MatMul or Gemm x W + c with codes V and scales d of its weight becomes

    q, s, z = DynamicQuantizeLinear(x)
    y = Cast(MatMulInteger(q, V, z)) * (s * d) + c,

which ONNX Runtime fuses into DynamicQuantizeMatMul. Several layers that read the same input share its rounding; ONNX
Runtime then fuses the rest of each into MatMulIntegerToFloat.
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.export.matmul import substitute
from quant.graph.constants import add_initializer
from quant.graph.inventory import Layer
from quant.graph.names import Names, shortened
from quant.graph.operators import is_dynamic_quantize

MICROSOFT = "com.microsoft"
"""The domain of the operators that only ONNX Runtime knows."""
_KERNEL_SCALES = {1: 8, 2: 10}
"""The operand of DynamicQuantizeLSTM with the scale of a weight, by that with the weight; a zero point follows it."""
_KERNEL_OPERANDS = 12


def compute_in_integers(layer: Layer, codes: ir.Value, scale: NDArray[np.float32], names: Names) -> None:
    """Let the layer multiply integers, its input rounded by its own range, in place.

    Args:
        layer: the layer, one that has a dynamic form.
        codes: the codes of its weight, int8, with the inputs before the outputs: (K, N), or (directions, K, N).
        scale: the scale of the weight, one for all, or one for each output of each direction.
        names: the names in use in the model.
    """
    if layer.operator.dynamic_kernel is None:
        _replace_with_product(layer, codes, scale, names)
    else:
        _rewrite_node(layer, codes, scale, names)


def declare_domains(model: ir.Model) -> None:
    """Declare the version of every domain that a node of the model is from, in place."""
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if node.domain:
            model.opset_imports.setdefault(node.domain, 1)


def _rewrite_node(layer: Layer, codes: ir.Value, scale: NDArray[np.float32], names: Names) -> None:
    """Let the layer's node be the operator of ONNX Runtime that reads the codes of one of its weights."""
    node, name = layer.node, shortened(layer.weight_name)
    assert layer.operator.dynamic_kernel is not None, "the operator has a kernel"
    node.op_type, node.domain = layer.operator.dynamic_kernel, MICROSOFT
    node.resize_inputs(_KERNEL_OPERANDS)
    directions = layer.shape[0]
    scales = np.repeat(scale.reshape(-1), directions) if scale.size == 1 else scale.reshape(directions, -1)
    zeros = np.zeros(scales.shape, np.int8)
    first = _KERNEL_SCALES[layer.weight_index]
    node.replace_input_with(layer.weight_index, codes)
    node.replace_input_with(first, add_initializer(layer.graph, f"{name}_scale", scales, names))
    node.replace_input_with(first + 1, add_initializer(layer.graph, f"{name}_zero_point", zeros, names))


def _replace_with_product(layer: Layer, codes: ir.Value, scale: NDArray[np.float32], names: Names) -> None:
    """Replace a MatMul with its weight on the right, or a Gemm without factors whose input is not transposed."""
    node, bias = layer.node, layer.bias
    before = _Before(node, names)
    rounded, step, zero_point = before.rounded(layer.operand(layer.input_index))
    product = before.put("MatMulInteger", [rounded, codes, zero_point], "integers")
    total = before.put("Cast", [product], "floats", [ir.AttrInt64("to", ir.DataType.FLOAT)])
    weight_scale = add_initializer(layer.graph, f"{shortened(layer.weight_name)}_scale", scale, names)
    steps = before.put("Mul", [step, weight_scale], "steps")
    result = before.put("Mul", [total, steps], "product")
    if bias is not None:
        result = before.put("Add", [result, bias], "sum")
    last = result.producer()
    assert last is not None, "the result was computed by a node"
    last.name = node.name
    substitute(layer.graph, node.outputs[0], result, names)


def round_input(layer: Layer, names: Names) -> None:
    """Round the input of a layer by its own range and leave the layer in float, in place."""
    before = _Before(layer.node, names)
    rounded = before.rounded(layer.operand(layer.input_index))
    layer.node.replace_input_with(layer.input_index, before.put("DequantizeLinear", rounded, "rounded"))


class _Before:
    """Adds nodes before a layer's node, whose names begin with that node's."""

    def __init__(self, node: ir.Node, names: Names) -> None:
        self._node, self._names = node, names

    def rounded(self, value: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
        """Return the codes (uint8), the scale and the zero point of a value, those of another layer if there are."""
        graph = self._node.graph
        known = (user for user, _ in value.uses() if is_dynamic_quantize(user) and user.graph is graph)
        quantize = next(known, None) or self._insert("DynamicQuantizeLinear", [value], ("codes", "step", "zero_point"))
        codes, step, zero_point = quantize.outputs
        return codes, step, zero_point

    def put(self, op: str, inputs: Sequence[ir.Value], output: str, attributes: Sequence[ir.Attr] = ()) -> ir.Value:
        """Insert a node with one output, and return the output."""
        return self._insert(op, inputs, (output,), attributes).outputs[0]

    def _insert(
        self, op: str, inputs: Sequence[ir.Value], outputs: Sequence[str], attributes: Sequence[ir.Attr] = ()
    ) -> ir.Node:
        graph, prefix = self._node.graph, self._node.name
        assert isinstance(graph, ir.Graph), "normalised models have no functions"
        name = self._names.node(f"{prefix}_{op.lower()}")
        node = ir.Node("", op, inputs, attributes, num_outputs=len(outputs), name=name)
        for value, ending in zip(node.outputs, outputs, strict=True):
            value.name = self._names.value(f"{prefix}_{ending}")
        graph.insert_before(self._node, node)
        return node
