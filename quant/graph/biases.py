"""Adding to each layer's bias what its quantized weights and inputs take from the mean of its outputs."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.graph.constants import add_initializer, constant
from quant.graph.inventory import Layer
from quant.graph.uses import only_use

Shifts = Mapping[str, NDArray[np.float64]]
"""By layer name, what is added to the bias of each output channel (C,)."""


def add_to_biases(layers: Sequence[Layer], shifts: Shifts) -> None:
    """Add the shifts to the layers' biases in place; a layer without a bias gets one.

    A MatMul's bias is the constant of the Add that follows it, or an Add of its own. A layer whose bias is computed
    at run time keeps it.
    """
    for layer in layers:
        shift = shifts.get(layer.name)
        if shift is None or not shift.any():
            continue
        if layer.op == "MatMul":
            _add_behind(layer, shift.astype(np.float32))
        else:
            _add_to_operand(layer, shift)


def _add_to_operand(layer: Layer, shift: NDArray[np.float64]) -> None:
    bias = constant(layer.bias)
    if layer.bias is not None and (bias is None or bias.ndim > 1):
        return
    old = np.zeros(()) if bias is None else bias.astype(np.float64)
    value = add_initializer(layer.graph, f"{layer.name}_corrected_bias", (old + shift).astype(np.float32))
    if len(layer.node.inputs) < 3:
        layer.node.resize_inputs(3)
    layer.node.replace_input_with(2, value)


def _add_behind(layer: Layer, shift: NDArray[np.float32]) -> None:
    output, graph = layer.node.outputs[0], layer.graph
    follower, used = only_use(output)
    if follower is not None and follower.op_type == "Add":
        index = 1 - used
        bias = constant(follower.inputs[index])
        if bias is not None and bias.shape[-1:] == shift.shape:
            value = add_initializer(graph, f"{layer.name}_corrected_bias", bias.astype(np.float32) + shift)
            follower.replace_input_with(index, value)
            return
    value = add_initializer(graph, f"{layer.name}_bias", shift)
    add = ir.Node("", "Add", [output, value], num_outputs=1, name=f"{layer.name}_add_bias")
    new = add.outputs[0]
    new.type, new.shape = output.type, output.shape
    output.replace_all_uses_with(new, replace_graph_outputs=True)
    add.replace_input_with(0, output)
    graph.insert_after(layer.node, add)
    output.name, new.name = f"{output.name}_unbiased", output.name  # others know the sum by the product's name
