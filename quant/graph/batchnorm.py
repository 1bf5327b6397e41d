"""Folding BatchNormalization into the layer before it.

Requires: inference mode, constant statistics, a Conv, ConvTranspose or Gemm with constant weight whose only
consumer it is. Ensures: the same outputs up to rounding. Where the requirement does not hold the node stays.
"""

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.graph.constants import add_initializer, constant

_FOLDABLE = ("Conv", "ConvTranspose", "Gemm")


def fold_batchnorm(graph: ir.Graph) -> None:
    """Fold every BatchNormalization of the graph that can be folded."""
    for node in list(graph):
        if node.op_type == "BatchNormalization":
            _fold(graph, node)


def _fold(graph: ir.Graph, norm: ir.Node) -> None:
    source = norm.inputs[0]
    layer = source.producer() if source is not None else None
    statistics = [constant(value) for value in norm.inputs[1:5]]
    if (
        source is None
        or layer is None
        or layer.graph is not graph
        or layer.op_type not in _FOLDABLE
        or len(source.uses()) != 1
        or source.is_graph_output()
        or norm.attributes.get_int("training_mode", 0) == 1
        or any(array is None for array in statistics)
    ):
        return
    weight = constant(layer.inputs[1])
    bias = constant(layer.inputs[2]) if len(layer.inputs) > 2 else np.zeros((), np.float32)
    if weight is None or bias is None:
        return
    gamma, beta, mean, variance = (np.asarray(array, np.float64) for array in statistics)
    factor = gamma / np.sqrt(variance + norm.attributes.get_float("epsilon", 1e-5))
    folded = (_scale_channels(layer, weight.astype(np.float64), factor)).astype(weight.dtype)
    shift = (beta + (bias.astype(np.float64).reshape(-1) - mean) * factor).astype(weight.dtype)
    _replace(graph, layer, norm, folded, shift)


def _scale_channels(layer: ir.Node, weight: NDArray[np.float64], factor: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weight with each output channel multiplied by its factor (C,)."""
    if layer.op_type == "Conv" or (layer.op_type == "Gemm" and layer.attributes.get_int("transB", 0) == 1):
        return weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    if layer.op_type == "Gemm":
        return weight * factor
    group = layer.attributes.get_int("group", 1)  # ConvTranspose: (C_in, C_out / group, ...)
    grouped = weight.reshape(group, weight.shape[0] // group, *weight.shape[1:])
    return (grouped * factor.reshape(group, 1, -1, *[1] * (weight.ndim - 2))).reshape(weight.shape)


def _replace(
    graph: ir.Graph, layer: ir.Node, norm: ir.Node, weight: NDArray[np.generic], bias: NDArray[np.generic]
) -> None:
    old = layer.inputs[1]
    name = str(old.name) if old is not None else str(layer.name)
    layer.replace_input_with(1, add_initializer(graph, f"{name}_folded", weight))
    value = add_initializer(graph, f"{name}_folded_bias", bias)
    if len(layer.inputs) > 2:
        layer.replace_input_with(2, value)
    else:
        layer.resize_inputs(3)
        layer.replace_input_with(2, value)
    norm.outputs[0].replace_all_uses_with(layer.outputs[0], replace_graph_outputs=True)
    graph.remove(norm, safe=True)
