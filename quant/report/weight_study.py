"""A study of a layer's weights: pooled rows, levels and error curves, from which picture and alternatives follow."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant.report.error_curve import Curves, error_curves
from quant.report.pooled_rows import PooledRows
from quant.weights.layers import QuantizedLayer

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
    if layer.fitted.granularity != layer.quantized.granularity:
        return None, IN_PARTS
    pooled = PooledRows.of(layer.fitted, layer.quantized.clip)
    if pooled is None:
        return None, ALL_ZERO
    levels = _relative_levels(layer, pooled)
    return WeightStudy(pooled, levels, error_curves(pooled, levels)), None


def uniform_levels(bits: int) -> Floats:
    """Return the levels (1, 2^bits - 1) of the uniform grid, from -1 to 1."""
    qmax = 2 ** (bits - 1) - 1
    levels: Floats = np.arange(-qmax, qmax + 1)[None] / qmax
    return levels


def _relative_levels(layer: QuantizedLayer, pooled: PooledRows) -> Floats:
    """Return the levels of each pooled row divided by its bound."""
    weight = layer.quantized
    if layer.spec.grid.uniform:
        return uniform_levels(weight.bits)
    if weight.levels is not None:
        return weight.levels[pooled.numbers].astype(np.float64) / pooled.bound[:, None]
    scale = weight.scale.reshape(-1)[pooled.numbers].astype(np.float64)
    levels: Floats = (scale / pooled.bound)[:, None] * np.arange(-1.0, 2.0)
    return levels
