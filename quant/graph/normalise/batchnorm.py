"""Folding BatchNormalization into the layer before it or, where there is none, into the one after; and an Add or Mul of
a constant a channel into the layer before.

Requires: inference mode, constant statistics, and a Conv, ConvTranspose or Gemm with constant weight whose only
consumer it is; or a Conv without borders or a Gemm that is its only consumer. Ensures: the same outputs up to
rounding. Where the requirement does not hold the node stays.
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.graph.constants import add_initializer, constant
from quant.graph.normalise.pads import has_borders
from quant.graph.uses import only_reader, only_use

_FOLDABLE = ("Conv", "ConvTranspose", "Gemm")


def fold_batchnorm(graph: ir.Graph) -> None:
    """Fold every such node of the graph that can be folded."""
    for node in list(graph):
        if node.op_type == "BatchNormalization":
            _fold_norm(graph, node)
        elif node.op_type in ("Add", "Mul") and node.domain == "":
            _fold_constant(graph, node)


def _fold_constant(graph: ir.Graph, node: ir.Node) -> None:
    """An Add or Mul of a constant that has one value, or one a channel of the layer before."""
    for index, value in enumerate(node.inputs):
        layer, other = _only_maker(graph, value), constant(node.inputs[1 - index])
        weight = constant(layer.inputs[1]) if layer is not None else None
        if layer is None or other is None or weight is None or other.ndim > weight.ndim:
            continue
        full = other.reshape((1,) * (weight.ndim - other.ndim) + other.shape)
        channels = _channels(layer, weight.shape)
        if full.size in (1, channels) and full.shape[1] == full.size:
            each = np.broadcast_to(full.astype(np.float64).reshape(-1), (channels,))
            one = np.ones(channels)
            _fold_before(graph, layer, node, *((each, 0 * one) if node.op_type == "Mul" else (one, each)))
            return


def _fold_norm(graph: ir.Graph, norm: ir.Node) -> None:
    statistics = [constant(value) for value in norm.inputs[1:5]]
    if norm.attributes.get_int("training_mode", 0) == 1 or any(array is None for array in statistics):
        return
    gamma, beta, mean, variance = (np.asarray(array, np.float64) for array in statistics)
    factor = gamma / np.sqrt(variance + norm.attributes.get_float("epsilon", 1e-5))
    if (layer := _only_maker(graph, norm.inputs[0])) is not None:
        _fold_before(graph, layer, norm, factor, beta - mean * factor)
    elif (layer := _only_reader(graph, norm.outputs[0])) is not None:
        _fold_after(graph, layer, norm, factor, beta - mean * factor)


def _only_maker(graph: ir.Graph, value: ir.Value | None) -> ir.Node | None:
    """The layer whose output only the norm reads."""
    layer = value.producer() if value is not None else None
    if value is None or layer is None or layer.graph is not graph or layer.op_type not in _FOLDABLE:
        return None
    return None if only_use(value)[0] is None else layer


def _only_reader(graph: ir.Graph, value: ir.Value) -> ir.Node | None:
    """The layer that alone reads the norm, each value of it through all taps: borders would be zeros behind it."""
    layer = only_reader(value)
    if layer is None or layer.graph is not graph:
        return None
    if layer.op_type == "Conv":
        return None if has_borders(layer) else layer
    return layer if layer.op_type == "Gemm" and not layer.attributes.get_int("transA", 0) else None


def _constants(layer: ir.Node) -> tuple[NDArray[np.generic], NDArray[np.float64]] | None:
    """The weight and the bias, one or a value a channel, of a layer; None where they are computed."""
    weight = constant(layer.inputs[1])
    bias = constant(layer.inputs[2]) if len(layer.inputs) > 2 else np.zeros(1, np.float32)
    if weight is None or bias is None or max(bias.shape[:-1], default=1) > 1:
        return None
    return weight, bias.astype(np.float64).reshape(-1)


def _fold_before(
    graph: ir.Graph, layer: ir.Node, norm: ir.Node, factor: NDArray[np.float64], shift: NDArray[np.float64]
) -> None:
    """f (W x + b) + s = (f W) x + (f b + s)."""
    if (found := _constants(layer)) is None:
        return
    weight, bias = found
    folded = _scale_channels(layer, weight.astype(np.float64), factor).astype(weight.dtype)
    _replace(graph, layer, folded, (bias * factor + shift).astype(weight.dtype))
    norm.outputs[0].replace_all_uses_with(layer.outputs[0], replace_graph_outputs=True)
    graph.remove(norm, safe=True)


def _fold_after(
    graph: ir.Graph, layer: ir.Node, norm: ir.Node, factor: NDArray[np.float64], shift: NDArray[np.float64]
) -> None:
    """W (f x + s) + b = (W f) x + (W s + b)."""
    if (found := _constants(layer)) is None:
        return
    weight, bias = found
    wide = weight.astype(np.float64)
    if layer.op_type == "Gemm":
        by_rows = layer.attributes.get_int("transB", 0) == 1
        scaled = wide * (factor if by_rows else factor[:, None])
        added = wide @ shift if by_rows else shift @ wide
    else:
        group = layer.attributes.get_int("group", 1)
        spatial = (1,) * (wide.ndim - 2)
        per_group = [np.repeat(one.reshape(group, -1), len(wide) // group, axis=0) for one in (factor, shift)]
        scaled = wide * per_group[0].reshape(*per_group[0].shape, *spatial)
        added = (wide * per_group[1].reshape(*per_group[1].shape, *spatial)).sum(axis=tuple(range(1, wide.ndim)))
    _replace(graph, layer, scaled.astype(weight.dtype), (bias + added).astype(weight.dtype))
    layer.replace_input_with(0, norm.inputs[0])
    graph.remove(norm, safe=True)


def _channels(layer: ir.Node, shape: Sequence[int]) -> int:
    """How many channels the layer's output has."""
    if layer.op_type == "ConvTranspose":
        return shape[1] * layer.attributes.get_int("group", 1)
    return shape[1] if layer.op_type == "Gemm" and not layer.attributes.get_int("transB", 0) else shape[0]


def _scale_channels(layer: ir.Node, weight: NDArray[np.float64], factor: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weight with each output channel multiplied by its factor (C,)."""
    if layer.op_type == "Conv" or (layer.op_type == "Gemm" and layer.attributes.get_int("transB", 0) == 1):
        return weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    if layer.op_type == "Gemm":
        return weight * factor
    group = layer.attributes.get_int("group", 1)  # ConvTranspose: (C_in, C_out / group, ...)
    grouped = weight.reshape(group, weight.shape[0] // group, *weight.shape[1:])
    return (grouped * factor.reshape(group, 1, -1, *[1] * (weight.ndim - 2))).reshape(weight.shape)


def _replace(graph: ir.Graph, layer: ir.Node, weight: NDArray[np.generic], bias: NDArray[np.generic]) -> None:
    old = layer.inputs[1]
    name = str(old.name) if old is not None else str(layer.name)
    layer.replace_input_with(1, add_initializer(graph, f"{name}_folded", weight))
    if len(layer.inputs) < 3:
        layer.resize_inputs(3)
    layer.replace_input_with(2, add_initializer(graph, f"{name}_folded_bias", bias))
