"""One weight on its way: fit its distribution, derive the clip bound, round to the grid, measure the error."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from quant.evaluation.metrics import sqnr_db
from quant.methods.distributions.fit import Fit
from quant.methods.distributions.selection import select
from quant.methods.distributions.statistics import RowStatistics, summarise, tiles
from quant.methods.grids.codebook import AnyCodebook, Codebook
from quant.methods.grids.expected_error import expected_error
from quant.spec import Weights
from quant.weights.granularity import Granularity, PerBlock, PerChannel, PerTensor


@dataclass(frozen=True)
class FittedWeight:
    """A weight of this shape as R rows of n that share a scale, with their statistics and fitted distributions."""

    shape: tuple[int, ...]
    granularity: Granularity
    statistics: RowStatistics
    fit: Fit


@dataclass(frozen=True)
class RowErrors:
    """What was lost in each of R rows, (R,) each: sums over the row's weights, and the expected means under its fit.

    `absolute` and `square` are of the errors, `energy` of the weights; `clipped` counts weights beyond the bound;
    `clip_ratio` is bound / largest |w|, NaN for a row of zeros; expected means are infinite where there are none.
    """

    absolute: NDArray[np.float64]
    square: NDArray[np.float64]
    energy: NDArray[np.float64]
    clipped: NDArray[np.int64]
    clip_ratio: NDArray[np.float64]
    expected_absolute: NDArray[np.float64]
    expected_square: NDArray[np.float64]

    @classmethod
    def joined(cls, parts: "Sequence[RowErrors]") -> "RowErrors":
        """Those of consecutive rows."""
        return cls(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls)))


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
    """Codes in the weight's own shape and what they stand for.

    `scale` is float32: () for the tensor, (C,) along `axis`, or the weight's shape with `axis` counted in blocks.
    Without `levels` a code stands for code * scale. With `levels`, float32 (R, K) in ascending order for each of the
    granularity's R rows, it is an index; the levels are then multiples of the scale, up to 127 of it, unless the
    codebook was left in float.
    """

    codes: NDArray[np.int8]
    scale: NDArray[np.float32]
    bits: int
    granularity: Granularity
    clip: NDArray[np.float64]
    errors: RowErrors
    levels: NDArray[np.float32] | None = None

    @property
    def error(self) -> WeightError:
        """Over the weights alone: the zeros that fill up a last block come back as zeros and count for nothing."""
        rows, size = self.errors, self.codes.size
        mse = float(rows.square.sum()) / size
        return WeightError(
            mae=float(rows.absolute.sum()) / size,
            mse=mse,
            sqnr_db=sqnr_db(float(rows.energy.sum()) / size, mse),
            mae_expected=_mean_finite(rows.expected_absolute),
            mse_expected=_mean_finite(rows.expected_square),
            clip_ratio=1.0 if np.isnan(rows.clip_ratio).all() else float(np.nanmean(rows.clip_ratio)),
            clipped_fraction=int(rows.clipped.sum()) / size,
        )

    @property
    def axis(self) -> int | None:
        """The axis along which scales differ; None for one scale."""
        return None if isinstance(self.granularity, PerTensor) else self.granularity.axis

    @property
    def block(self) -> int:
        """How many weights along `axis` share a scale; 0 where all do."""
        return self.granularity.size if isinstance(self.granularity, PerBlock) else 0


def granularity_of(axis: int, reduced: int, spec: Weights) -> Granularity:
    """What shares a scale in a weight whose output channels lie along `axis` and whose inputs along `reduced`."""
    if spec.granularity == "tensor":
        return PerTensor()
    return PerChannel(axis) if spec.granularity == "channel" else PerBlock(reduced, spec.block_size)


def fit_weight(
    weight: NDArray[np.float32],
    granularity: Granularity,
    spec: Weights,
    compiled: bool = False,
    largest: float = 0.0,
) -> FittedWeight:
    """Fit the spec's families to each row of the weight; by compiled loops if asked to.

    `largest` is the largest |w| of all, where the weight is a part of another.

    Raises:
        NonFiniteWeight: the weight holds NaN or infinity.
    """
    statistics = summarise(granularity.rows(weight), compiled, largest)
    return FittedWeight(weight.shape, granularity, statistics, select(statistics, spec.distributions, spec.selection))


def clip_bound(fitted: FittedWeight, spec: Weights) -> NDArray[np.float64]:
    """The bound of each row (R,) in the weight's unit, by the spec's rule."""
    return spec.clipping.bound(fitted.statistics, fitted.fit, spec.bits)


def quantize_weight(
    fitted: FittedWeight, spec: Weights, clip: NDArray[np.float64], *, integer: bool = True
) -> QuantizedWeight:
    """Round the weight to the nearest levels of the spec's grid between -clip and clip (R,); measure what was lost.

    A codebook is moved to 8-bit levels where the weight is to run on `integer` kernels.
    """
    codebook = spec.grid.build(fitted.statistics, fitted.fit, clip, spec.bits)
    return encode_weight(fitted, spec, clip, codebook, fitted.statistics.rows, integer=integer)


def encode_weight(
    fitted: FittedWeight,
    spec: Weights,
    clip: NDArray[np.float64],
    codebook: AnyCodebook,
    values: NDArray[np.float32],
    *,
    integer: bool = True,
) -> QuantizedWeight:
    """The weight as the levels nearest to `values` (R, n), which need not be its own; measure what was lost."""
    levels = None
    if isinstance(codebook, Codebook):
        snapped, scale = codebook.snapped()
        codebook = snapped if integer else codebook
        levels = codebook.levels.astype(np.float32)
    else:
        scale = codebook.scale
    codes = codebook.encode(values)
    errors = _row_errors(fitted.statistics, codebook.decode(codes), clip, expected_error(fitted.fit, codebook))
    shape, granularity = fitted.shape, fitted.granularity
    if isinstance(granularity, PerTensor):
        scale = scale.reshape(())
    elif isinstance(granularity, PerBlock):
        scale = granularity.restore_scale(scale, shape)
    return QuantizedWeight(granularity.restore(codes, shape), scale, spec.bits, granularity, clip, errors, levels)


def decoded(weight: QuantizedWeight) -> NDArray[np.float32]:
    """The weight that the codes stand for, in its own shape."""
    granularity, shape = weight.granularity, weight.codes.shape
    rows = granularity.rows(weight.codes)
    if weight.levels is not None:
        values = np.take_along_axis(weight.levels, rows.view(np.uint8).astype(np.intp), axis=1)
    elif isinstance(granularity, PerBlock):
        moved = np.moveaxis(weight.scale, granularity.axis, -1)
        values = rows * moved.reshape(-1, 1)
    else:
        values = rows * weight.scale.reshape(-1, 1)
    return granularity.restore(values, shape)


def _mean_finite(values: NDArray[np.float64]) -> float:
    """The mean over the rows whose distribution has the moment; NaN where none has."""
    finite = np.isfinite(values)
    return float(values[finite].mean()) if finite.any() else float("nan")


def _row_errors(
    statistics: RowStatistics,
    decoded: NDArray[np.float32],
    clip: NDArray[np.float64],
    expected: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> RowErrors:
    """Measured tile by tile, small for the cache."""
    rows, limit = statistics.rows, clip[:, None] * (1 + 1e-6)
    absolute, square = np.zeros((2, len(rows)))
    clipped = np.zeros(len(rows), np.int64)
    for part, columns in tiles(rows.shape):
        wide = rows[part, columns].astype(np.float64)
        difference = decoded[part, columns] - wide
        square[part] += np.einsum("rn,rn->r", difference, difference)
        absolute[part] += np.abs(difference, out=difference).sum(axis=1)
        clipped[part] += (np.abs(wide, out=wide) > limit[part]).sum(axis=1)
    largest = statistics.max_abs
    ratio = np.divide(clip, largest, out=np.full_like(clip, np.nan), where=largest > 0)
    return RowErrors(absolute, square, statistics.sum_sq, clipped, ratio, *expected)
