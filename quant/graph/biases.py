"""Biases: adding a constant to each channel of a layer's output."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.graph.constants import add_initializer, constant
from quant.graph.inventory import Layer
from quant.graph.names import Names
from quant.graph.operators import is_add
from quant.graph.uses import only_use

Shifts = Mapping[str, NDArray[np.float64]]
"""By layer name, the values to add to the bias of each output channel (C,), in the output's unit."""


def add_to_biases(layers: Sequence[Layer], shifts: Shifts) -> None:
    """Add the shifts to the layers' biases in place; a layer without a bias gets one.

    The bias of a MatMul is the constant of the Add that follows it; where no such Add follows, one is inserted. A bias
    that is computed at run time stays as it is.
    """
    names = Names.of(*{layer.graph: None for layer in layers})  # layers with shifts are in the main graph
    for layer in layers:
        shift = shifts.get(layer.name)
        if shift is None or not shift.any():
            continue
        if layer.operator.bias_follows:
            _add_behind(layer, shift.astype(np.float32), names)
        else:
            _add_to_operand(layer, shift, names)


def _add_to_operand(layer: Layer, shift: NDArray[np.float64], names: Names) -> None:
    """Add the shift to the node's bias operand."""
    bias, index = constant(layer.bias), layer.operator.bias_index
    assert index is not None, "the layer's operator has no bias"
    if layer.bias is not None and (bias is None or bias.ndim > 1):
        return
    old = np.zeros(()) if bias is None else bias.astype(np.float64)
    value = add_initializer(layer.graph, f"{layer.name}_corrected_bias", (old + shift).astype(np.float32), names)
    if len(layer.node.inputs) <= index:
        layer.node.resize_inputs(index + 1)
    layer.node.replace_input_with(index, value)


def _add_behind(layer: Layer, shift: NDArray[np.float32], names: Names) -> None:
    """Add the shift to the constant of the Add after the layer, or insert an Add."""
    follower, used = only_use(layer.node.outputs[0])
    if follower is not None and is_add(follower):
        index = 1 - used
        bias = constant(follower.inputs[index])
        if bias is not None and bias.shape[-1:] == shift.shape:
            corrected = bias.astype(np.float32) + shift
            value = add_initializer(layer.graph, f"{layer.name}_corrected_bias", corrected, names)
            follower.replace_input_with(index, value)
            return
    _insert_add(layer, shift, names)


def _insert_add(layer: Layer, shift: NDArray[np.float32], names: Names) -> None:
    """Insert an Add of the shift after the layer; the sum takes over the name of the layer's output."""
    product = layer.node.outputs[0]
    value = add_initializer(layer.graph, f"{layer.name}_bias", shift, names)
    add = ir.Node("", "Add", [product, value], num_outputs=1, name=names.node(f"{layer.name}_add_bias"))
    total = add.outputs[0]
    total.type, total.shape = product.type, product.shape
    product.replace_all_uses_with(total, replace_graph_outputs=True)
    add.replace_input_with(0, product)
    layer.graph.insert_after(layer.node, add)
    product.name, total.name = names.value(f"{product.name}_unbiased"), product.name
