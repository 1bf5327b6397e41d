"""A study of a layer's weights: pooled rows, levels and error curves, from which picture and alternatives follow."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quant.methods.grids.base import GridBase, IntegerGrid
from quant.methods.grids.codebook import AffineCodebook
from quant.report.error_curve import Curves, error_curves
from quant.report.pooled_rows import MAX_ROWS, PooledRows
from quant.weights.blocks import BlockQuantizer
from quant.weights.granularity import PerBlock
from quant.weights.layers import QuantizedLayer
from quant.weights.quantize import FittedWeight, QuantizedWeight

IN_PARTS = "the layer was quantized in parts, and its rows are not held in memory"
ALL_ZERO = "all weights of the layer are zero"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class WeightStudy:
    """The weights of one layer, in units of the clip bound of their row.

    Attributes:
        pooled: The rows.
        levels: Levels of each pooled row (K, L), or (1, L) if all rows have the same.
        curves: The errors against the bound.
    """

    pooled: PooledRows
    levels: Floats
    curves: Curves


def study_weights(layer: QuantizedLayer) -> tuple[WeightStudy | None, str | None]:
    """Return the study of a layer's weights, or None and the reason why there is none."""
    fitted, weight = layer.fitted, layer.quantized
    if isinstance(weight.granularity, PerBlock):
        fitted, weight = _some_blocks(layer, weight.granularity)
    elif fitted.granularity != weight.granularity:
        return None, IN_PARTS
    pooled = PooledRows.of(fitted, weight.clip)
    if pooled is None:
        return None, ALL_ZERO
    levels = _relative_levels(layer.spec.grid, weight, pooled)
    return WeightStudy(pooled, levels, error_curves(pooled, levels)), None


def uniform_levels(bits: int) -> Floats:
    """Return the levels (1, 2^bits - 1) of the uniform grid, from -1 to 1."""
    qmax = 2 ** (bits - 1) - 1
    levels: Floats = np.arange(-qmax, qmax + 1)[None] / qmax
    return levels


def _some_blocks(layer: QuantizedLayer, granularity: PerBlock) -> tuple[FittedWeight, QuantizedWeight]:
    """Return the blocks of some outputs, evenly chosen, with their fits and their quantized weights."""
    axis, weight, quantized = layer.layer.axis, layer.layer.weight, layer.quantized
    outputs = weight.shape[axis]
    count = min(-(-MAX_ROWS * outputs // len(quantized.clip)), outputs)
    chosen = np.arange(count) * outputs // count
    part = np.take(weight, chosen, axis)
    fitted = BlockQuantizer(layer.layer, layer.spec, granularity, layer.fitted).fit_part(part, histogram=True)
    return fitted, replace(
        quantized,
        codes=np.take(quantized.codes, chosen, axis),
        scale=np.take(quantized.scale, chosen, axis),
        clip=granularity.rows_of_scale(np.take(granularity.restore_scale(quantized.clip, weight.shape), chosen, axis)),
        zero=None if quantized.zero is None else np.take(quantized.zero, chosen, axis),
    )


def _relative_levels(grid: GridBase, weight: QuantizedWeight, pooled: PooledRows) -> Floats:
    """Return the levels of each pooled row divided by its bound."""
    if isinstance(weight.granularity, PerBlock) and weight.zero is not None:
        scale, zero = weight.granularity.rows_of_scale(weight.scale), weight.granularity.rows_of_scale(weight.zero)
        book = AffineCodebook(scale, zero, 2 ** (weight.bits - 1) - 1).select_rows(pooled.numbers)
        return book.levels / pooled.bound[:, None]
    if grid.uniform:
        return uniform_levels(weight.bits)
    if weight.levels is not None:
        return weight.levels[pooled.numbers].astype(np.float64) / pooled.bound[:, None]
    scale = weight.scale.reshape(-1)[pooled.numbers]
    assert isinstance(grid, IntegerGrid), "a weight of another grid has levels"
    return grid.with_scale(scale, weight.bits).levels / pooled.bound[:, None]
