"""Scales that are powers of two, for machines that shift instead of multiplying."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from quant.methods.grids.base import IntegerGrid
from quant.methods.grids.expected_error import expected_weight_error
from quant.spec import Weights
from quant.weights.errors import measure_row_errors
from quant.weights.quantize import FittedWeight, QuantizedWeight
from quant.weights.widen import widen_scales


def next_power(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the least powers of two that are not less than the values, which are above zero."""
    powers: NDArray[np.float64] = np.exp2(np.ceil(np.log2(values)))
    return powers


def with_power_of_two_scales(fitted: FittedWeight, section: Weights, weight: QuantizedWeight) -> QuantizedWeight:
    """Return the weight with scales that are powers of two.

    For equally spaced levels, each row takes the power above or below its scale, whichever has the smaller squared
    error.
    Other levels take the power above, at which their multiples still fit 8 bits.

    Args:
        fitted: the float weight and its fit.
        section: the layer's section of the spec.
        weight: the quantized weight; its scales lie along channels, or there is one scale.
    """
    above = next_power(weight.scale.reshape(-1).astype(np.float64))
    grid = section.grid
    if not (isinstance(grid, IntegerGrid) and (grid.uniform or grid.mid_rise)):
        return widen_scales(fitted, section, weight, above)
    rows = fitted.statistics.rows
    candidates = [grid.with_scale(step.astype(np.float32), section.bits) for step in (above, above / 2)]
    encoded = [codebook.encode(rows) for codebook in candidates]
    errors = [
        ((codebook.decode(codes) - rows) ** 2).sum(axis=1, dtype=np.float64)
        for codebook, codes in zip(candidates, encoded, strict=True)
    ]
    smaller = errors[1] < errors[0]
    scale = np.where(smaller, above / 2, above).astype(np.float32)
    chosen = grid.with_scale(scale, section.bits)
    codes = np.where(smaller[:, None], encoded[1], encoded[0])
    clip = chosen.levels[:, -1]
    expected = expected_weight_error(fitted.statistics, fitted.fit, chosen)
    return replace(
        weight,
        codes=fitted.granularity.restore(codes, fitted.shape),
        scale=scale.reshape(weight.scale.shape),
        clip=clip,
        errors=measure_row_errors(fitted.statistics, chosen.decode(codes), clip, expected),
    )
