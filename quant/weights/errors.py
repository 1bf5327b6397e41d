"""Errors of a quantized weight: measured on its weights, and expected under the fitted distributions."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from quant.evaluation.sqnr import sqnr_db
from quant.methods.distributions.statistics import RowStatistics, tiles

CLIPPED_TOLERANCE = 1e-6
"""Share of the bound by which a weight must exceed it to count as clipped."""


@dataclass(frozen=True)
class RowErrors:
    """Errors of the R rows of a weight, each field (R,), or of other parts that make up the weight.

    Attributes:
        absolute: Sum of the absolute errors |w - Q(w)|.
        square: Noise energy, the sum of the squared errors.
        energy: Signal energy, the sum of w^2.
        clipped: Number of weights beyond the bound.
        clip_ratio: Bound / largest |w|; NaN for a row of zeros.
        expected_absolute: Expected absolute error of a weight under the row's fit, given the row's largest |w|;
            infinite where the fit has no mean or was not made.
        expected_square: Expected squared error of a weight, in the same way; infinite where the fit has no variance
            or was not made.
    """

    absolute: NDArray[np.float64]
    square: NDArray[np.float64]
    energy: NDArray[np.float64]
    clipped: NDArray[np.int64]
    clip_ratio: NDArray[np.float64]
    expected_absolute: NDArray[np.float64]
    expected_square: NDArray[np.float64]

    @classmethod
    def concatenate(cls, parts: "Sequence[RowErrors]") -> "RowErrors":
        """Return the errors of consecutive rows as one value."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def over_weight(self, size: int) -> "WeightError":
        """Return the errors over the whole weight, which has `size` weights; padding has no error and no energy."""
        mse = float(self.square.sum()) / size
        return WeightError(
            mae=float(self.absolute.sum()) / size,
            mse=mse,
            sqnr_db=sqnr_db(float(self.energy.sum()) / size, mse),
            mae_expected=_mean_finite(self.expected_absolute),
            mse_expected=_mean_finite(self.expected_square),
            clip_ratio=1.0 if np.isnan(self.clip_ratio).all() else float(np.nanmean(self.clip_ratio)),
            clipped_fraction=int(self.clipped.sum()) / size,
        )


@dataclass(frozen=True)
class WeightError:
    """Errors over a whole weight.

    Attributes:
        mae: Mean absolute error, in the weight's unit.
        mse: Mean squared error, in the weight's unit squared.
        sqnr_db: Signal energy over noise energy in dB.
        mae_expected: Mean over rows of the expected absolute error; NaN if it is infinite in every row.
        mse_expected: Mean over rows of the expected squared error; NaN if it is infinite in every row.
        clip_ratio: Mean over rows of bound / largest |w|.
        clipped_fraction: Share of the weights beyond their bound.
    """

    mae: float
    mse: float
    sqnr_db: float
    mae_expected: float
    mse_expected: float
    clip_ratio: float
    clipped_fraction: float


def measure_row_errors(
    statistics: RowStatistics,
    decoded: NDArray[np.float32],
    clip: NDArray[np.float64],
    expected: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> RowErrors:
    """Return the errors of rows whose codes stand for `decoded` (R, n).

    Args:
        statistics: The float weights and their statistics.
        decoded: The weights that the codes stand for.
        clip: Bound of each row (R,).
        expected: Expected absolute and squared error of each row (R,).
    """
    rows, limit = statistics.rows, clip[:, None] * (1 + CLIPPED_TOLERANCE)
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


def _mean_finite(values: NDArray[np.float64]) -> float:
    """Return the mean of the finite values (R,); NaN if there are none."""
    finite = np.isfinite(values)
    return float(values[finite].mean()) if finite.any() else float("nan")
