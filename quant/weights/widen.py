"""Wider scales for single rows of a quantized weight, on every grid."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from quant.methods.grids.base import IntegerGrid
from quant.methods.grids.codebook import AnyCodebook, Codebook
from quant.methods.grids.expected_error import expected_error
from quant.spec import Weights
from quant.weights.errors import measure_row_errors
from quant.weights.quantize import FittedWeight, QuantizedWeight


def widen_scales(
    fitted: FittedWeight, section: Weights, weight: QuantizedWeight, least: NDArray[np.float64]
) -> QuantizedWeight:
    """Return the weight with the scales `least` in the rows whose scale is smaller, and its errors measured again.

    These rows are encoded again: to the nearest integer of the grid times the wider scale, and for a codebook of any
    levels to the same levels, rounded to multiples of the wider scale. Levels that rows share stay the same multiples.
    The other rows keep their codes.

    Args:
        fitted: the float weight and its fit.
        section: the layer's section of the spec.
        weight: the quantized weight; its scales lie along one axis, or there is one scale.
        least: the least scale of each row (R,), above zero, in the weight's unit.
    """
    scale = weight.scale.reshape(-1)
    narrow = least > scale
    widened = np.where(narrow, least, scale).astype(np.float32)
    rows, codes = fitted.statistics.rows, fitted.granularity.rows(weight.codes)
    codebook: AnyCodebook
    clip = weight.clip
    if weight.levels is not None:
        step = widened.astype(np.float64)[:, None]
        multiples = weight.levels / (scale[:, None] if weight.rows_per_table > 1 else step)
        codebook = Codebook.from_levels(np.where(narrow[:, None], np.rint(multiples) * step, weight.levels))
        weight = replace(weight, levels=codebook.levels.astype(np.float32))
        if weight.rows_per_table > 1:
            codes = np.where(narrow[:, None], codebook.encode(rows), codes)
    else:
        assert isinstance(section.grid, IntegerGrid), "a weight of another grid has levels"
        codebook = section.grid.with_scale(widened, section.bits)
        clip = np.where(narrow, codebook.levels[:, -1], clip)
        codes = np.where(narrow[:, None], codebook.encode(rows), codes)
    expected = expected_error(fitted.fit, codebook)
    errors = measure_row_errors(fitted.statistics, codebook.decode(codes), clip, expected)
    return replace(
        weight,
        codes=fitted.granularity.restore(codes, fitted.shape),
        scale=widened.reshape(weight.scale.shape),
        clip=clip,
        errors=errors,
    )
