"""Quantization of one weight: fit its rows, derive clip bounds, encode to the grid, measure the error."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from quant.errors import NonFiniteWeight
from quant.methods.distributions.fit import Fit
from quant.methods.distributions.selection import select
from quant.methods.distributions.statistics import RowStatistics, summarise
from quant.methods.grids.base import IntegerGrid
from quant.methods.grids.codebook import AffineCodebook, AnyCodebook, Codebook, MidRiseCodebook
from quant.methods.grids.expected_error import expected_weight_error
from quant.spec import Weights
from quant.weights.errors import RowErrors, WeightError, measure_row_errors
from quant.weights.granularity import Granularity, PerBlock, PerMatrixChannel, PerTensor


@dataclass(frozen=True)
class FittedWeight:
    """A weight as R rows of n that share a scale each, with the distributions fitted to them.

    Attributes:
        shape: The weight's own shape.
        granularity: The weights that share a scale.
        statistics: The rows and their statistics.
        fit: The distribution chosen for each row.
        bounds: The bounds found so far, by clip rule, bits and kind of grid; formats of equal bits share them.
    """

    shape: tuple[int, ...]
    granularity: Granularity
    statistics: RowStatistics
    fit: Fit
    bounds: dict[tuple[object, int, bool], NDArray[np.float64]] = field(default_factory=dict)


@dataclass(frozen=True)
class QuantizedWeight:
    """A weight as integer codes with their scales.

    A code c stands for (c - zero) * scale, or for levels[row, c] if the grid is a codebook.

    Attributes:
        codes: Codes in the weight's own shape.
        scale: Scales: () for the tensor, (C,) for channels, the weight's shape with one axis counted in blocks, or an
            array that broadcasts to the weight, split as `granularity` says, for channels of stacked matrices.
        bits: Width of a code.
        granularity: The weights that share a scale.
        clip: Bound of each row (R,), in the weight's unit.
        errors: Errors of each row.
        levels: Levels (R, K) of a codebook, ascending; None for a grid with integer levels. They are multiples of
            the scale, up to 127 of it, unless the weight is computed in float.
        zero: Zero points in the shape of `scale`; None if all are 0.
        odd: True if the codes are odd integers, which a file stores by their numbers.
        rows_per_table: Consecutive rows whose levels are the same multiples of their scales; a divisor of R.
    """

    codes: NDArray[np.int8]
    scale: NDArray[np.float32]
    bits: int
    granularity: Granularity
    clip: NDArray[np.float64]
    errors: RowErrors
    levels: NDArray[np.float32] | None = None
    zero: NDArray[np.int8] | None = None
    odd: bool = False
    rows_per_table: int = 1

    @property
    def error(self) -> WeightError:
        """The errors over the whole weight."""
        return self.errors.over_weight(self.codes.size)

    @property
    def block(self) -> int:
        """The number of weights in a block; 0 if the granularity is not that of blocks."""
        return self.granularity.size if isinstance(self.granularity, PerBlock) else 0


def fit_weight(
    weight: NDArray[np.float32],
    granularity: Granularity,
    spec: Weights,
    compiled: bool = False,
    largest: float = 0.0,
    name: str = "",
) -> FittedWeight:
    """Return the weight with the spec's families fitted to each of its rows.

    Args:
        weight: The weight in its own shape.
        granularity: The weights that share a scale.
        spec: The section of the spec.
        compiled: Use compiled loops, here and in everything that reads the fit.
        largest: Largest |w| of the whole weight where `weight` is only a part of it.
        name: The name of the layer, for the error text.

    Raises:
        NonFiniteWeight: the weight holds NaN or infinity.
    """
    try:
        statistics = summarise(granularity.rows(weight), compiled, largest)
    except NonFiniteWeight as error:
        raise NonFiniteWeight(f"layer {name!r}: {error.detail}") from None
    return FittedWeight(weight.shape, granularity, statistics, select(statistics, spec.distributions, spec.selection))


def clip_bound(fitted: FittedWeight, spec: Weights) -> NDArray[np.float64]:
    """Return the bound of each row (R,) by the spec's clip rule, in the weight's unit."""
    key = spec.clipping, spec.bits, spec.grid.mid_rise
    if key not in fitted.bounds:
        rows, fit = fitted.statistics, fitted.fit
        fitted.bounds[key] = spec.clipping.bound(rows, fit, spec.bits, mid_rise=spec.grid.mid_rise)
    return fitted.bounds[key]


def quantize_weight(
    fitted: FittedWeight, spec: Weights, clip: NDArray[np.float64], *, integer: bool = True, expected: bool = True
) -> QuantizedWeight:
    """Return the weight rounded to the nearest levels of the spec's grid between -clip and clip (R,).

    Args:
        fitted: The weight and its fit.
        spec: The section of the spec.
        clip: Bound of each row (R,).
        integer: Move the levels of a codebook to multiples of an 8-bit scale, for integer kernels.
        expected: False to leave out the expected errors, which are then infinite.
    """
    codebook = spec.grid.build(fitted.statistics, fitted.fit, clip, spec.bits)
    return encode_weight(fitted, spec, clip, codebook, fitted.statistics.rows, integer=integer, expected=expected)


def encode_weight(
    fitted: FittedWeight,
    spec: Weights,
    clip: NDArray[np.float64],
    codebook: AnyCodebook,
    values: NDArray[np.float32],
    *,
    integer: bool = True,
    expected: bool = True,
) -> QuantizedWeight:
    """Return the codes of the levels nearest to `values` (R, n), with their errors against the weight.

    Args:
        fitted: The weight that errors are measured against, and its fit.
        spec: The section of the spec.
        clip: Bound of each row (R,).
        codebook: The levels of each row.
        values: Values to encode: the weights, or the levels that a rounding chose for them.
        integer: Move the levels of a codebook to multiples of an 8-bit scale, for integer kernels.
        expected: False to leave out the expected errors, which are then infinite.
    """
    levels, rows_per_table = None, 1
    if isinstance(codebook, Codebook):
        rows_per_table = spec.grid.rows_per_table(len(codebook.levels))
        snapped, scale = codebook.snapped()
        codebook = snapped if integer or rows_per_table > 1 else codebook
        levels = codebook.levels.astype(np.float32)
    else:
        scale = codebook.scale
    codes = codebook.encode(values)
    unknown = np.full_like(clip, np.inf), np.full_like(clip, np.inf)
    by_fit = expected_weight_error(fitted.statistics, fitted.fit, codebook) if expected else unknown
    errors = measure_row_errors(fitted.statistics, codebook.decode(codes), clip, by_fit)
    shape, granularity = fitted.shape, fitted.granularity
    zero = codebook.zero if isinstance(codebook, AffineCodebook) else None
    if isinstance(granularity, PerTensor):
        scale = scale.reshape(())
    elif isinstance(granularity, PerBlock | PerMatrixChannel):
        scale = granularity.restore_scale(scale, shape)
        zero = None if zero is None else granularity.restore_scale(zero, shape)
    return QuantizedWeight(
        codes=granularity.restore(codes, shape),
        scale=scale,
        bits=spec.bits,
        granularity=granularity,
        clip=clip,
        errors=errors,
        levels=levels,
        zero=zero,
        odd=isinstance(codebook, MidRiseCodebook),
        rows_per_table=rows_per_table,
    )


def codebook_of(weight: QuantizedWeight, spec: Weights) -> AnyCodebook:
    """Return the levels of each row of a quantized weight whose rows lie along one axis.

    Args:
        weight: the quantized weight.
        spec: the section of the spec that it was quantized by.
    """
    if weight.levels is not None:
        return Codebook.from_levels(weight.levels.astype(np.float64))
    assert isinstance(spec.grid, IntegerGrid), "a weight of another grid has levels"
    return spec.grid.with_scale(weight.scale.reshape(-1), weight.bits)


def decoded(weight: QuantizedWeight) -> NDArray[np.float32]:
    """Return the float weight that the codes stand for, in its own shape."""
    granularity, shape = weight.granularity, weight.codes.shape
    rows = granularity.rows(weight.codes)
    if weight.levels is not None:
        values = np.take_along_axis(weight.levels, rows.view(np.uint8).astype(np.intp), axis=1)
    elif isinstance(granularity, PerBlock):
        steps = rows if weight.zero is None else rows - granularity.rows_of_scale(weight.zero)[:, None]
        values = steps * granularity.rows_of_scale(weight.scale)[:, None]
    else:
        values = rows * weight.scale.reshape(-1, 1)
    return granularity.restore(values, shape)
