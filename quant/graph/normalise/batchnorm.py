"""Folding of per-channel scales and shifts into the adjacent layer.

A layer is y = W x + b: a Conv, ConvTranspose or Gemm with a constant weight W and a constant bias b, or none. The scale
a and the shift s have one value for each channel. Rewrite rules:

1. Layer, then BatchNormalization -> a layer with weight a W and bias a b + s.
2. Layer, then Add or Mul of a constant with one value, or one for each output channel -> the same, with a = 1 or s = 0.
3. BatchNormalization, then layer -> a layer with weight W a and bias W s + b. The layer is a Gemm, or a Conv without
   borders: after the normalization a border is zero, and no constant border before it gives the same.

Rules 1 and 2 need a layer whose output has no other reader; rule 3 needs a BatchNormalization whose output has no other
reader. Rule 3 applies where rule 1 does not.

Requires: constants are initializers.
Ensures: the same outputs up to rounding. A BatchNormalization in training mode, or with computed statistics, stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.graph.constants import add_initializer, constant
from quant.graph.names import Names
from quant.graph.normalise.pads import has_borders
from quant.graph.uses import only_reader, only_use

_FOLDABLE = ("Conv", "ConvTranspose", "Gemm")


@dataclass(frozen=True)
class _Affine:
    """A scale and a shift for each channel: a x + s, both float64 of shape (C,)."""

    scale: NDArray[np.float64]
    shift: NDArray[np.float64]


def fold_batchnorm(model: ir.Model) -> None:
    """Fold BatchNormalization, and Add and Mul of per-channel constants, into adjacent layers, in place."""
    names = Names.of(model.graph)
    for graph in (model.graph, *model.graph.subgraphs()):
        for node in list(graph):
            if node.op_type == "BatchNormalization":
                _fold_norm(graph, node, names)
            elif node.op_type in ("Add", "Mul") and node.domain == "":
                _fold_constant(graph, node, names)


def _fold_norm(graph: ir.Graph, norm: ir.Node, names: Names) -> None:
    """Apply rule 1, or else rule 3."""
    affine = _normalization(norm)
    if affine is None:
        return
    if (layer := _layer_before(graph, norm.inputs[0])) is not None:
        _fold_into_previous(graph, layer, norm, affine, names)
    elif (layer := _layer_behind(graph, norm.outputs[0])) is not None:
        _fold_into_next(graph, layer, norm, affine, names)


def _normalization(norm: ir.Node) -> _Affine | None:
    """Return a = gamma / sqrt(variance + epsilon) and s = beta - mean a; None if they are not constant."""
    statistics = [constant(value) for value in norm.inputs[1:5]]
    if norm.attributes.get_int("training_mode", 0) == 1 or any(array is None for array in statistics):
        return None
    gamma, beta, mean, variance = (np.asarray(array, np.float64) for array in statistics)
    scale = gamma / np.sqrt(variance + norm.attributes.get_float("epsilon", 1e-5))
    return _Affine(scale, beta - mean * scale)


def _fold_constant(graph: ir.Graph, node: ir.Node, names: Names) -> None:
    """Apply rule 2."""
    for operand, value in enumerate(node.inputs):
        layer, array = _layer_before(graph, value), constant(node.inputs[1 - operand])
        weight = constant(layer.inputs[1]) if layer is not None else None
        if layer is None or array is None or weight is None:
            continue
        values = _channel_values(array, weight.ndim, _output_channels(layer, weight.shape))
        if values is not None:
            zeros, ones = np.zeros_like(values), np.ones_like(values)
            affine = _Affine(values, zeros) if node.op_type == "Mul" else _Affine(ones, values)
            _fold_into_previous(graph, layer, node, affine, names)
            return


def _channel_values(array: NDArray[np.generic], rank: int, channels: int) -> NDArray[np.float64] | None:
    """Return the constant as one value for each channel of a tensor of that rank.

    Return None if the constant varies along another axis than the channels.
    """
    if array.ndim > rank:
        return None
    full = array.reshape((1,) * (rank - array.ndim) + array.shape)
    if full.size not in (1, channels) or full.shape[1] != full.size:
        return None
    return np.broadcast_to(full.astype(np.float64).reshape(-1), (channels,))


def _layer_before(graph: ir.Graph, value: ir.Value | None) -> ir.Node | None:
    """Return the layer that computes the value, if the value has one reader only."""
    layer = value.producer() if value is not None else None
    if value is None or layer is None or layer.graph is not graph or layer.op_type not in _FOLDABLE:
        return None
    return None if only_use(value)[0] is None else layer


def _layer_behind(graph: ir.Graph, value: ir.Value) -> ir.Node | None:
    """Return the layer that is the only reader of the value, if rule 3 allows it."""
    layer = only_reader(value)
    if layer is None or layer.graph is not graph:
        return None
    if layer.op_type == "Conv":
        return None if has_borders(layer) else layer
    return layer if layer.op_type == "Gemm" and not layer.attributes.get_int("transA", 0) else None


def _fold_into_previous(graph: ir.Graph, layer: ir.Node, node: ir.Node, affine: _Affine, names: Names) -> None:
    """Replace a (W x + b) + s by (a W) x + (a b + s)."""
    constants = _weight_and_bias(layer)
    if constants is None:
        return
    weight, bias = constants
    folded = _scale_outputs(layer, weight.astype(np.float64), affine.scale).astype(weight.dtype)
    _replace(graph, layer, folded, (bias * affine.scale + affine.shift).astype(weight.dtype), names)
    _take_over(layer.outputs[0], node.outputs[0])
    graph.remove(node, safe=True)


def _take_over(value: ir.Value, replaced: ir.Value) -> None:
    """Let `value` be read instead of `replaced`, under its name and type if it is an output of the graph."""
    is_output = replaced.is_graph_output()
    replaced.replace_all_uses_with(value, replace_graph_outputs=True)
    if is_output:  # callers know the output by its name
        name, value.name = value.name, replaced.name
        replaced.name, value.type, value.shape = name, replaced.type, replaced.shape


def _fold_into_next(graph: ir.Graph, layer: ir.Node, norm: ir.Node, affine: _Affine, names: Names) -> None:
    """Replace W (a x + s) + b by (W a) x + (W s + b)."""
    constants = _weight_and_bias(layer)
    if constants is None:
        return
    weight, bias = constants
    fold = _fold_gemm_inputs if layer.op_type == "Gemm" else _fold_conv_inputs
    scaled, added = fold(layer, weight.astype(np.float64), affine)
    _replace(graph, layer, scaled.astype(weight.dtype), (bias + added).astype(weight.dtype), names)
    layer.replace_input_with(0, norm.inputs[0])
    graph.remove(norm, safe=True)


def _fold_gemm_inputs(
    gemm: ir.Node, weight: NDArray[np.float64], affine: _Affine
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return W a and W s for a Gemm."""
    if gemm.attributes.get_int("transB", 0) == 1:
        return weight * affine.scale, weight @ affine.shift
    return weight * affine.scale[:, None], affine.shift @ weight


def _fold_conv_inputs(
    conv: ir.Node, weight: NDArray[np.float64], affine: _Affine
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return W a and W s for a Conv, whose weight is (C_out, C_in / group, ...)."""
    group = conv.attributes.get_int("group", 1)

    def for_each_output(values: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = np.repeat(values.reshape(group, -1), len(weight) // group, axis=0)
        return rows.reshape(*rows.shape, *(1,) * (weight.ndim - 2))

    scaled = weight * for_each_output(affine.scale)
    return scaled, (weight * for_each_output(affine.shift)).sum(axis=tuple(range(1, weight.ndim)))


def _weight_and_bias(layer: ir.Node) -> tuple[NDArray[np.generic], NDArray[np.float64]] | None:
    """Return the weight and the bias (1,) or (C,) of a layer; None if one of them is computed or of another shape."""
    weight = constant(layer.inputs[1])
    bias = constant(layer.inputs[2]) if len(layer.inputs) > 2 else np.zeros(1, np.float32)
    if weight is None or bias is None or max(bias.shape[:-1], default=1) > 1:
        return None
    return weight, bias.astype(np.float64).reshape(-1)


def _output_channels(layer: ir.Node, shape: Sequence[int]) -> int:
    """Return the number of output channels of a layer whose weight has this shape."""
    if layer.op_type == "ConvTranspose":
        return shape[1] * layer.attributes.get_int("group", 1)
    return shape[1] if layer.op_type == "Gemm" and not layer.attributes.get_int("transB", 0) else shape[0]


def _scale_outputs(layer: ir.Node, weight: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weight with each output channel multiplied by its scale (C,)."""
    if layer.op_type == "Conv" or (layer.op_type == "Gemm" and layer.attributes.get_int("transB", 0) == 1):
        return weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    if layer.op_type == "Gemm":
        return weight * scale
    group = layer.attributes.get_int("group", 1)  # the weight of a ConvTranspose is (C_in, C_out / group, ...)
    grouped = weight.reshape(group, weight.shape[0] // group, *weight.shape[1:])
    return (grouped * scale.reshape(group, 1, -1, *[1] * (weight.ndim - 2))).reshape(weight.shape)


def _replace(
    graph: ir.Graph, layer: ir.Node, weight: NDArray[np.generic], bias: NDArray[np.generic], names: Names
) -> None:
    """Give the layer a new weight and bias."""
    previous = layer.inputs[1]
    name = str(previous.name) if previous is not None else str(layer.name)
    layer.replace_input_with(1, add_initializer(graph, f"{name}_folded", weight, names))
    if len(layer.inputs) < 3:
        layer.resize_inputs(3)
    layer.replace_input_with(2, add_initializer(graph, f"{name}_folded_bias", bias, names))
