"""One weight on its way: fit its distribution, derive the clip bound, round to the grid, measure the error."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant.expected_error import expected_error
from quant.fit import Fit
from quant.granularity import Granularity, PerChannel, PerTensor
from quant.grids.codebook import Codebook, UniformCodebook
from quant.metrics import sqnr_db
from quant.selection import select
from quant.spec import Weights
from quant.statistics import RowStatistics, summarise


@dataclass(frozen=True)
class FittedWeight:
    """A weight (any shape) as R rows of n that share a scale, with their statistics and fitted distributions."""

    weight: NDArray[np.float32]
    granularity: Granularity
    statistics: RowStatistics
    fit: Fit


@dataclass(frozen=True)
class WeightError:
    """Mean absolute and mean squared error over the whole weight, measured, and expected under the fit.

    The expected ones are over the rows whose distribution has that moment, and NaN where none has.
    `clip_ratio` is the mean over rows of bound / largest |w|; `clipped_fraction` the share of weights beyond it.
    """

    mae: float
    mse: float
    sqnr_db: float
    mae_expected: float
    mse_expected: float
    clip_ratio: float
    clipped_fraction: float


@dataclass(frozen=True)
class QuantizedWeight:
    """Codes in the weight's own shape (int8), float32 scale () or (C,) along `axis`, and the error made."""

    codes: NDArray[np.int8]
    scale: NDArray[np.float32]
    bits: int
    axis: int | None
    clip: NDArray[np.float64]
    error: WeightError


def fit_weight(weight: NDArray[np.float32], axis: int, spec: Weights) -> FittedWeight:
    """Fit the spec's families to the weight, per tensor or per channel along `axis`.

    Raises:
        NonFiniteWeight: the weight holds NaN or infinity.
    """
    granularity: Granularity = PerChannel(axis) if spec.granularity == "channel" else PerTensor()
    statistics = summarise(granularity.rows(weight))
    return FittedWeight(weight, granularity, statistics, select(statistics, spec.distributions, spec.selection))


def clip_bound(fitted: FittedWeight, spec: Weights) -> NDArray[np.float64]:
    """The bound of each row (R,) in the weight's unit, by the spec's rule."""
    return spec.clipping.bound(fitted.statistics, fitted.fit, spec.bits)


def quantize_weight(fitted: FittedWeight, spec: Weights, clip: NDArray[np.float64]) -> QuantizedWeight:
    """Round the weight to the nearest levels of the spec's grid between -clip and clip (R,); measure what was lost."""
    codebook = spec.grid.build(fitted.statistics, fitted.fit, clip, spec.bits)
    return encode_weight(fitted, spec, clip, codebook, fitted.granularity.rows(fitted.weight))


def encode_weight(
    fitted: FittedWeight,
    spec: Weights,
    clip: NDArray[np.float64],
    codebook: Codebook | UniformCodebook,
    values: NDArray[np.float32],
) -> QuantizedWeight:
    """The weight as the levels nearest to `values` (R, n), which need not be its own; measure what was lost."""
    assert isinstance(codebook, UniformCodebook), "the spec admits uniform grids only"
    granularity = fitted.granularity
    rows = granularity.rows(fitted.weight)
    codes = codebook.encode(values)
    difference = codebook.decode(codes).astype(np.float64) - rows
    mae_expected, mse_expected = expected_error(fitted.fit, codebook)
    error = _error(fitted, rows, difference, clip, _mean_finite(mae_expected), _mean_finite(mse_expected))
    axis = granularity.axis if isinstance(granularity, PerChannel) else None
    return QuantizedWeight(
        codes=granularity.restore(codes, fitted.weight.shape),
        scale=codebook.scale.reshape(()) if axis is None else codebook.scale,
        bits=spec.bits,
        axis=axis,
        clip=clip,
        error=error,
    )


def _mean_finite(values: NDArray[np.float64]) -> float:
    """The mean over the rows whose distribution has the moment; NaN where none has."""
    finite = np.isfinite(values)
    return float(values[finite].mean()) if finite.any() else float("nan")


def _error(
    fitted: FittedWeight,
    rows: NDArray[np.float32],
    difference: NDArray[np.float64],
    clip: NDArray[np.float64],
    mae_expected: float,
    mse_expected: float,
) -> WeightError:
    largest = fitted.statistics.max_abs
    used = largest > 0
    mse = float(np.mean(difference**2))
    return WeightError(
        mae=float(np.mean(np.abs(difference))),
        mse=mse,
        sqnr_db=sqnr_db(float(np.mean(rows.astype(np.float64) ** 2)), mse),
        mae_expected=mae_expected,
        mse_expected=mse_expected,
        clip_ratio=float(np.mean(clip[used] / largest[used])) if used.any() else 1.0,
        clipped_fraction=float(np.mean(np.abs(rows) > clip[:, None] * (1 + 1e-6))),
    )
