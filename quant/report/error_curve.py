"""The error of a layer's weights against the clip bound, measured and expected of the fits."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant.outcome.report.picture import CURVE_POINTS
from quant.report.level_errors import LevelErrors
from quant.report.pooled_rows import PooledRows

FACTORS = np.geomspace(1 / 3, 3, CURVE_POINTS)
"""Bounds at which the error is computed, as multiples of the chosen one; the middle one is 1."""
MAX_GROUPS = 16
"""The most rows with levels of their own: the error of each is computed alone."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """Mean absolute and mean squared errors (T,) at each of `FACTORS`, in the weight's unit and its square.

    The expected errors are infinite where the distribution has no variance or no mean.
    """

    measured_mae: Floats
    measured_mse: Floats
    expected_mae: Floats
    expected_mse: Floats


def error_curves(pooled: PooledRows, levels: Floats) -> Curves:
    """Return the errors of the pooled rows if the bound of every row is multiplied by each of `FACTORS`.

    Args:
        pooled: The rows.
        levels: Levels of each row (K, L) divided by its bound, or (1, L) if all rows have the same.
    """
    sums, weights = np.zeros((4, CURVE_POINTS)), 0
    for rows, row_levels in _groups(pooled, levels):
        sums += _sums(rows, LevelErrors(row_levels))
        weights += rows.values.size
    return Curves(*(sums / weights))


def _groups(pooled: PooledRows, levels: Floats) -> Iterator[tuple[PooledRows, Floats]]:
    """Yield rows with the same levels: all at once, or one by one, at most `MAX_GROUPS` of them."""
    if len(levels) == 1 or np.allclose(levels, levels[0], rtol=1e-4, atol=1e-6):
        yield pooled, levels[0]
        return
    count = min(MAX_GROUPS, len(levels))
    for row in np.arange(count) * len(levels) // count:
        yield pooled.select_rows(np.array([row])), levels[row]


def _sums(rows: PooledRows, levels: LevelErrors) -> Floats:
    """Return the sums over the weights of absolute and squared errors, measured and expected: (4, T)."""
    by_bin = levels.over_bins(rows.edges, FACTORS)
    at_zero = levels.at_points(np.zeros(1), FACTORS)
    ends = rows.statistics.max_abs / rows.bound
    at_ends = levels.at_points(np.concatenate([-ends, ends]), FACTORS)
    number, zeros = rows.values.shape[1], rows.zeros
    others = np.maximum(number - zeros - 1, 0)  # one weight has the largest magnitude of the row
    sums = []
    for power, bins, zero, end in zip((1, 2), by_bin, at_zero, at_ends, strict=True):
        unit = rows.bound**power
        constant = zero[:, 0] * (unit @ zeros)
        measured = bins @ (unit @ rows.counts) + constant
        largest = end @ (np.tile(unit * (zeros < number), 2) / 2)
        expected = bins @ ((unit * others) @ rows.probabilities) + constant + largest
        sums.append((measured, expected))
    (mae, expected_mae), (mse, expected_mse) = sums
    return np.stack([mae, mse, expected_mae, expected_mse])
