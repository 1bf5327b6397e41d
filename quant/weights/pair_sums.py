"""Codes whose sums of two adjacent products fit 16 bits.

On x86 CPUs without VNNI, ONNX Runtime's kernels multiply unsigned activations a by signed weight codes c and add the
products of two neighbours along the sum in 16 bits (VPMADDUBSW), which saturates. No activation of 8 bits,
0 <= a <= 255, can make the sum of a pair (c, d) saturate if

    max(c, 0) + max(d, 0) <= 128    and    min(c, 0) + min(d, 0) >= -128,

because 255 * 128 < 2^15. Pairs are formed in the order in which the kernel reads the codes of an output: over the
inputs of a MatMul or Gemm, and over the input channels at each position of a Conv's kernel, position by position.
"""

from dataclasses import replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.graph.inventory import Layer
from quant.graph.matrix_form import group_count
from quant.graph.operators import Operator
from quant.methods.grids.codebook import AnyCodebook, Codebook, UniformCodebook
from quant.methods.grids.expected_error import expected_weight_error
from quant.weights.errors import measure_row_errors
from quant.weights.granularity import PerTensor, Scalar
from quant.weights.quantize import FittedWeight, QuantizedWeight, decoded

MAX_PAIR = 128
"""The largest sum of two codes of one sign: 255 * 128 is the largest multiple of 255 that 16 bits hold."""
_LEAST = 63
"""The number of positive levels at which no pair can exceed `MAX_PAIR`."""
_STEP = 8
"""The distance between the numbers of positive levels that are tried, from 127 down to `_LEAST`."""


def fit_pair_sums(layer: Layer, fitted: FittedWeight, weight: QuantizedWeight) -> tuple[QuantizedWeight, int]:
    """Return the weight with codes whose pairs fit 16 bits, and the number of rows that were changed.

    A uniform row is rounded to 127, 119, .. or 63 levels on each side, and pairs that are still too large are made
    smaller; the number of levels with the least squared error is chosen. The levels of a codebook are rounded to
    multiples of a wider scale, up to the first at which all pairs fit.

    Args:
        layer: a layer that an integer kernel computes.
        fitted: its float weight and its fit.
        weight: its quantized weight; its scales lie along channels, or there is one scale.
    """
    if not is_paired(layer.operator, layer.node, layer.shape):
        return weight, 0
    excess = pair_excess(_ordered(layer, integer_codes(weight)))
    scales = weight.scale.reshape(-1)
    per_tensor = isinstance(weight.granularity, PerTensor)
    too_large = np.array([excess.max() > 0]) if per_tensor else excess > 0
    if not too_large.any():
        return weight, 0
    if weight.levels is not None:
        return _fewer_codebook_levels(layer, fitted, weight, too_large), int(too_large.sum())
    rows = _ordered(layer, fitted.granularity.restore(fitted.statistics.rows, fitted.shape))
    best = np.full(scales.size, np.inf)
    scale, codes = scales.astype(np.float64), _ordered(layer, weight.codes).astype(np.int16)
    for levels in range(127, _LEAST - 1, -_STEP):
        step = (scales * (127 / levels)).astype(np.float32)
        tried = _encode(rows, step, levels)
        errors = ((tried * step[:, None] - rows) ** 2).sum(axis=1, dtype=np.float64)
        errors = errors.sum(keepdims=True) if per_tensor else errors
        better = too_large & (errors < best)
        best = np.where(better, errors, best)
        scale = np.where(better, step, scale)
        codes = np.where(better[:, None], tried, codes)
    restored = _restore_order(layer, codes.astype(np.int8))
    return _measured(fitted, weight, restored, scale.astype(np.float32)), int(too_large.sum())


def is_paired(operator: Operator, node: ir.Node, shape: tuple[int, ...]) -> bool:
    """Return True if the kernel adds pairs of products: a depthwise Conv has a kernel that adds single products."""
    return not (operator.spatial and group_count(node) == shape[0] and shape[1] == 1)


def integer_codes(weight: QuantizedWeight) -> NDArray[np.int8]:
    """Return the 8-bit codes that an integer kernel reads, in the weight's own shape."""
    if weight.levels is None:
        return weight.codes
    scale = weight.granularity.rows(np.broadcast_to(1.0, weight.codes.shape)) * weight.scale.reshape(-1, 1)
    rows = weight.granularity.rows(decoded(weight))
    return weight.granularity.restore(np.rint(rows / scale).astype(np.int8), weight.codes.shape)


def sum_order(array: NDArray[Scalar], operator: Operator, channel_axis: int) -> NDArray[Scalar]:
    """Return an array of the weight's shape as (outputs, inputs) in the order in which a kernel sums over the inputs.

    Args:
        array: the array.
        operator: the operator that reads the weight.
        channel_axis: the weight's axis of output channels.
    """
    moved = np.moveaxis(array, _summed_axis(operator, channel_axis, array.ndim), -1)
    return np.ascontiguousarray(moved).reshape(-1, moved[0].size if operator.spatial else moved.shape[-1])


def pair_excess(codes: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return by how much the largest pair of each output (outputs,) exceeds `MAX_PAIR`; 0 or less if all pairs fit."""
    pairs = _pairs(codes.astype(np.int16))
    positive, negative = np.maximum(pairs, 0).sum(axis=2), np.maximum(-pairs, 0).sum(axis=2)
    largest: NDArray[np.int64] = np.maximum(positive, negative).max(axis=1).astype(np.int64)
    return largest - MAX_PAIR


def _encode(rows: NDArray[np.float32], step: NDArray[np.float32], levels: int) -> NDArray[np.int16]:
    """Return the nearest codes within `levels`, with each pair that is too large made smaller by its excess."""
    codes = np.clip(np.rint(rows / step[:, None]), -levels, levels).astype(np.int16)
    pairs = _pairs(codes)
    for sign in (1, -1):
        positive = np.maximum(sign * pairs, 0)
        excess = np.maximum(positive.sum(axis=2) - MAX_PAIR, 0)
        pairs = pairs - sign * np.stack([excess - excess // 2, excess // 2], axis=2).astype(np.int16)
    return pairs.reshape(len(codes), -1)[:, : codes.shape[1]]


def _pairs(codes: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return codes (outputs, n) as (outputs, n / 2, 2), padded with a zero as the kernels do."""
    padded = np.pad(codes, [(0, 0), (0, codes.shape[1] % 2)])
    return padded.reshape(len(codes), -1, 2)


def _summed_axis(operator: Operator, channel_axis: int, rank: int) -> int:
    """Return the axis that is summed: the input channels of a Conv, and the other axis of a matrix (.., K, N)."""
    if operator.spatial:
        return 1
    return rank - 1 if channel_axis == rank - 2 else rank - 2


def _ordered(layer: Layer, array: NDArray[Scalar]) -> NDArray[Scalar]:
    return sum_order(array, layer.operator, layer.axis)


def _restore_order(layer: Layer, rows: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return codes in the order of `sum_order` in the weight's own shape."""
    shape = layer.shape
    axis = _summed_axis(layer.operator, layer.axis, len(shape))
    moved = (*shape[:axis], *shape[axis + 1 :], shape[axis])
    return np.ascontiguousarray(np.moveaxis(rows.reshape(moved), -1, axis))


def _fewer_codebook_levels(
    layer: Layer, fitted: FittedWeight, weight: QuantizedWeight, too_large: NDArray[np.bool_]
) -> QuantizedWeight:
    """Return the weight with the levels of the marked rows at multiples of the least scale at which all pairs fit."""
    assert weight.levels is not None, "the weight has a codebook"
    levels, original = weight.levels.astype(np.float64), weight.scale.reshape(-1)
    marked = _whole_tables(too_large, weight)
    for most in range(127 - _STEP, _LEAST - 1, -_STEP):
        step = np.where(marked, np.abs(levels).max(axis=1) / most, weight.scale.reshape(-1)).astype(np.float32)
        rounded = np.where(marked[:, None], np.rint(levels / step[:, None]) * step[:, None], weight.levels)
        weight = replace(weight, levels=rounded.astype(np.float32), scale=step.reshape(weight.scale.shape))
        excess = pair_excess(_ordered(layer, integer_codes(weight)))
        marked &= _whole_tables(np.array([excess.max() > 0]) if original.size == 1 else excess > 0, weight)
        if not marked.any():
            break
    return _measured(fitted, weight, weight.codes, weight.scale.reshape(-1))


def _whole_tables(rows: NDArray[np.bool_], weight: QuantizedWeight) -> NDArray[np.bool_]:
    """Return the mask (R,) of all rows that share a table with a row of the mask (R,)."""
    return rows.reshape(-1, weight.rows_per_table).any(axis=1).repeat(weight.rows_per_table)


def _measured(
    fitted: FittedWeight, weight: QuantizedWeight, codes: NDArray[np.int8], scale: NDArray[np.float32]
) -> QuantizedWeight:
    """Return the weight with new codes and scales, and its errors measured again."""
    changed = replace(weight, codes=codes, scale=scale.reshape(weight.scale.shape))
    codebook: AnyCodebook = UniformCodebook(scale, 127)
    if changed.levels is not None:
        codebook = Codebook.from_levels(changed.levels.astype(np.float64))
    expected = expected_weight_error(fitted.statistics, fitted.fit, codebook)
    values = fitted.granularity.rows(decoded(changed))
    return replace(changed, errors=measure_row_errors(fitted.statistics, values, changed.clip, expected))
