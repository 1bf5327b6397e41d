"""Placeholders for quantized weights: the shapes of a job's codes, scales and levels, which decide the file's size."""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from quant.graph.inventory import Layer
from quant.spec import Spec, Weights
from quant.weights.blocks import has_zero_points
from quant.weights.granularity import Granularity, PerBlock, PerChannel, PerMatrixChannel, PerTensor
from quant.weights.layer_granularity import granularity_of
from quant.weights.layers import QuantizedLayer
from quant.weights.quantize import FittedWeight, QuantizedWeight, fit_weight, quantize_weight
from quant.weights.storage_form import storage_form


def placeholder(layer: Layer, section: Weights, spec: Spec, number: int) -> QuantizedLayer:
    """Return a quantized layer with the shapes of a job's codes, scales and levels, and arbitrary values.

    Args:
        layer: the layer.
        section: its section of the spec, adapted to its kernel.
        spec: the whole spec.
        number: a number below 2^15 that is the same for layers which share a weight, and differs for others: equal
            constants of different weights might be stored once.
    """
    form = storage_form(layer, section, spec)
    granularity = granularity_of(layer, section, form)
    rows = row_count(granularity, layer.shape)
    scale: NDArray[np.float32] = np.full(rows, 1 + number, np.float32)
    if isinstance(granularity, PerTensor):
        scale = scale.reshape(())
    elif isinstance(granularity, PerBlock | PerMatrixChannel):
        scale = granularity.restore_scale(scale, layer.shape)
    codes = np.zeros(layer.shape, np.int8)
    digits = [number >> digit & 1 for digit in range(15)]
    codes.reshape(-1)[: len(digits)] = digits[: codes.size]
    fitted, one_row = _one_row(section)
    levels = None if one_row.levels is None else _levels(rows, one_row.levels.shape[1], number)
    codes *= -1 if levels is None else 1 + 2 * (section.bits % 2)  # so that no plane of bits is equal for two weights
    shared = 1 if levels is None else section.grid.rows_per_table(rows)
    codes = 2 * codes + 1 if one_row.odd else codes
    clip = np.full(rows, 1.0 + number)
    zero = scale.astype(np.int8) if isinstance(granularity, PerBlock) and has_zero_points(section) else None
    weight = QuantizedWeight(
        codes, scale, section.bits, granularity, clip, one_row.errors, levels, zero, one_row.odd, shared
    )
    float_bias = spec.export.bias == "float"
    return QuantizedLayer(layer, section, form, fitted, weight, seconds=0.0, float_bias=float_bias)


@cache
def _one_row(section: Weights) -> tuple[FittedWeight, QuantizedWeight]:
    """Return a row of numbers fitted and quantized by a section, which shows the number of levels."""
    fitted = fit_weight(np.linspace(-1, 1, 64, dtype=np.float32), PerTensor(), section)
    return fitted, quantize_weight(fitted, section, np.ones(1))


def _levels(rows: int, count: int, number: int) -> NDArray[np.float32]:
    """Return levels (rows, count) whose ratios to a scale of 1 + `number` are integers that differ by the number.

    At least one is not 0: a table of zeros might be stored once with the zero points of channels.
    """
    integers = [number + 1 >> 7 * place & 127 for place in range(count)]
    return np.tile(np.array(integers, np.float32), (rows, 1)) * np.float32(1 + number)


def row_count(granularity: Granularity, shape: tuple[int, ...]) -> int:
    """Return the number of rows, each with one scale, of a weight of this shape."""
    if isinstance(granularity, PerTensor):
        return 1
    if isinstance(granularity, PerChannel):
        return shape[granularity.axis]
    if isinstance(granularity, PerMatrixChannel):
        return granularity.row_count(shape)
    blocks = -(-shape[granularity.axis] // granularity.size)
    return math.prod(shape) // shape[granularity.axis] * blocks
