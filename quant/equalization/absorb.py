"""Absorption of a smoothing by the operators that compute a tensor: a LayerNormalization, or a product and a sum."""

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.equalization.smoothing_factors import Smoothing
from quant.graph.constants import add_initializer, constant
from quant.graph.names import Names
from quant.graph.operators import is_add, is_layer_norm, is_mul
from quant.graph.uses import only_use

Array = NDArray[np.float64]


def can_absorb(value: ir.Value, channels: int) -> bool:
    """Return True if the operators before a tensor can divide its last axis of `channels` and shift it."""
    node = value.producer()
    if node is None or node.outputs[0] is not value:
        return False
    if is_layer_norm(node):
        return all(_fits(operand, channels) for operand in node.inputs[1:] if operand is not None)
    if is_add(node):
        return _constant_index(node, channels) is not None and _can_scale(_other(node, channels), channels)
    return False


def absorb(value: ir.Value, smoothing: Smoothing) -> None:
    """Divide the tensor's channels by the factors after subtracting the shifts, in the operators that compute it.

    Requires that `can_absorb` holds.
    """
    node, channels = value.producer(), len(smoothing.factor)
    assert node is not None, "the tensor is computed"
    if is_layer_norm(node):
        _replace(node, 1, lambda gamma: gamma / smoothing.factor)
        _replace_bias(node, smoothing)
        return
    index = _constant_index(node, channels)
    assert index is not None, "one operand of the sum is constant"
    _replace(node, index, lambda bias: (bias - smoothing.shift) / smoothing.factor)
    _scale(_other(node, channels), smoothing.factor)


def _can_scale(value: ir.Value | None, channels: int) -> bool:
    """Return True if the channels of a tensor that has one reader can be divided: it is a product with a constant."""
    if value is None or only_use(value)[0] is None:
        return False
    node = value.producer()
    return node is not None and is_mul(node) and _constant_index(node, channels) is not None


def _scale(value: ir.Value | None, factor: Array) -> None:
    """Divide the channels of a product with a constant by the factors (C,)."""
    node = None if value is None else value.producer()
    assert node is not None, "the tensor is computed"
    index = _constant_index(node, len(factor))
    assert index is not None, "one operand of the product is constant"
    _replace(node, index, lambda gamma: gamma / factor)


def _fits(operand: ir.Value | None, channels: int) -> bool:
    """Return True for a constant with one value per channel along the last axis."""
    array = constant(operand)
    return array is not None and array.dtype == np.float32 and array.shape[-1:] == (channels,) == (array.size,)


def _constant_index(node: ir.Node, channels: int) -> int | None:
    """Return the number of the only constant operand with one value per channel."""
    fitting = [index for index, operand in enumerate(node.inputs) if _fits(operand, channels)]
    return fitting[0] if len(fitting) == 1 and len(node.inputs) == 2 else None


def _other(node: ir.Node, channels: int) -> ir.Value | None:
    index = _constant_index(node, channels)
    return None if index is None else node.inputs[1 - index]


def _replace(node: ir.Node, index: int, change: Callable[[Array], Array]) -> None:
    """Replace a constant operand by what `change` returns for it."""
    operand, graph = node.inputs[index], node.graph
    old = constant(operand)
    assert operand is not None, "the operand is present"
    assert old is not None, "the operand is constant"
    assert isinstance(graph, ir.Graph), "normalised models have no functions"
    changed = change(old.astype(np.float64)).astype(np.float32)
    value = add_initializer(graph, f"{operand.name}_smoothed", changed, Names.of(graph))
    node.replace_input_with(index, value)


def _replace_bias(node: ir.Node, smoothing: Smoothing) -> None:
    """Smooth the bias of a LayerNormalization, and add one where it is needed."""
    graph = node.graph
    assert isinstance(graph, ir.Graph), "normalised models have no functions"
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        _replace(node, 2, lambda beta: (beta - smoothing.shift) / smoothing.factor)
    elif smoothing.shift.any():
        beta = (-smoothing.shift / smoothing.factor).astype(np.float32)
        if len(node.inputs) < 3:
            node.resize_inputs(3)
        node.replace_input_with(2, add_initializer(graph, f"{node.name}_shift", beta, Names.of(graph)))
