"""The constants of the quantized model, dequantized: weights' operands and biases as inference reads them."""

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.error_bounds.intervals import Array
from quant.graph.constants import constant
from quant.graph.inventory import Layer
from quant.graph.operators import is_add, is_dequantize, operator_of
from quant.graph.uses import only_reader


class QuantizedConstants:
    """The constant operands of a quantized model's nodes, by the node's name in the float model."""

    def __init__(self, quantized: ir.Model) -> None:
        self._nodes = {str(node.name): node for node in quantized.graph}

    def operand(self, name: str, index: int) -> NDArray[Any] | None:
        """Return a constant operand of the node `name`; None if there is no such node, operand or constant."""
        node = self._nodes.get(name)
        if node is None or index >= len(node.inputs):
            return None
        value = node.inputs[index]
        producer = None if value is None else value.producer()
        if producer is None or not is_dequantize(producer):
            return constant(value)
        codes, scale = (constant(operand) for operand in producer.inputs[:2])
        return None if codes is None or scale is None else codes.astype(np.float64) * np.asarray(scale, np.float64)

    def biases(self, layer: Layer, channels: int) -> tuple[Array, Array] | None:
        """Return the layer's float bias (C,) and its change in the quantized model (C,).

        None if either is computed at run time. An Add that bias correction inserted counts as the bias.
        """
        before = np.zeros(channels) if layer.bias is None else constant(layer.bias)
        after = self._bias(layer, channels)
        if before is None or after is None:
            return None
        wide = [np.broadcast_to(np.asarray(bias, np.float64).reshape(-1), (channels,)) for bias in (before, after)]
        return wide[0], wide[1] - wide[0]

    def _bias(self, layer: Layer, channels: int) -> NDArray[Any] | None:
        node = self._nodes[layer.name]
        if is_add(node):  # a Gemm that became a MatMul and an Add
            return self.operand(layer.name, 1)
        operator = operator_of(node)
        if operator is not None and operator.bias_index is not None and operator.bias(node) is not None:
            return self.operand(layer.name, operator.bias_index)
        add = only_reader(node.outputs[0])
        if add is None or not is_add(add) or any(other.name == add.name for other in layer.graph):
            return np.zeros(channels)
        inserted = self.operand(str(add.name), 1)
        return np.zeros(channels) if inserted is None else inserted
