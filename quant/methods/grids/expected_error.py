"""The exact expected error of a quantizer under a distribution, summed over its cells."""

from dataclasses import dataclass

import numpy as np

from quant.kernel import dispatch
from quant.methods.distributions.fit import Fit
from quant.methods.distributions.fitted import Rows
from quant.methods.distributions.statistics import RowStatistics
from quant.methods.grids.codebook import AnyCodebook


def expected_error(fit: Fit, codebook: AnyCodebook, largest: Rows | None = None) -> tuple[Rows, Rows]:
    """Return E|X - Q(X)| and E[(X - Q(X))^2] of each row (R,); infinite where the distribution's moment is.

    With levels y_i and edges x_i, x_0 = -inf and x_K = inf, both are sums over the cells (Max, 1960, eq. 1, with |.|
    or a square as the measure of distortion):

        E d(X - Q(X)) = sum_i E[d(X - y_i); x_(i-1) < X <= x_i].

    The partial moments P(X > x), E[X; X > x] and E[X^2; X > x] give each term in closed form; the cell is split at its
    level for the absolute error. With `largest`, the cells end at +-M and the sum is divided by P(|X| <= M). See
    docs/methods.md, 'Grids and expected error'.

    Args:
        fit: The distribution of each row.
        codebook: The levels of each row.
        largest: The bound M (R,) of the condition |X| <= M, above zero; None for no condition.
    """
    levels, edges = codebook.levels, codebook.edges
    largest = np.full(len(levels), np.inf) if largest is None else largest
    if (arguments := fit.loop_arguments()) is not None:
        mae, mse = np.empty((2, len(levels)))
        dispatch.run("expected:expected_errors", len(levels), *arguments, levels, edges, largest, mae, mse)
        return mae, mse
    return _error_within(fit, codebook, -largest, largest)


def _error_within(fit: Fit, codebook: AnyCodebook, low: Rows, high: Rows) -> tuple[Rows, Rows]:
    """Return both expected errors of each row (R,) under the condition low <= X <= high, where low < high (R,)."""
    levels, edges, first, last = codebook.levels, codebook.edges, low[:, None], high[:, None]
    lower, upper = (np.clip(side, first, last) for side in (np.hstack([first, edges]), np.hstack([edges, last])))
    below, at, above = (fit.partial_moments(x) for x in (lower, np.clip(levels, lower, upper), upper))
    probability = below[0][:, 0] - above[0][:, -1]
    with np.errstate(invalid="ignore", divide="ignore"):  # infinity minus infinity, where a moment is infinite
        mass, mean, square = below - above
        left, right = below - at, at - above
        mae = (levels * left[0] - left[1] + right[1] - levels * right[0]).sum(axis=1) / probability
        mse = (square - 2 * levels * mean + levels**2 * mass).sum(axis=1) / probability
    return np.where(np.isnan(mae), np.inf, mae), np.where(np.isnan(mse), np.inf, np.maximum(mse, 0))


def expected_error_between_extremes(statistics: RowStatistics, fit: Fit, codebook: AnyCodebook) -> tuple[Rows, Rows]:
    """Return the expected absolute and squared error of the weights of each row (R,), given both of its extremes.

    A grid with a zero point reaches from the least to the largest weight of a row, beyond which it has no weights. Of
    the n weights, z are zero, two are the extremes m and M, and the others are distributed as the fit within them:

        E = ((n - z - 2) E[d(X - Q(X)) | m <= X <= M] + d(m) + d(M) + z d(0)) / n.

    A row without two different weights has the errors of its weights.
    """
    low, high = statistics.minimum, statistics.maximum
    varied = high > low
    within = _error_within(fit, codebook, low, np.where(varied, high, low + 1))
    points = np.stack([low, high, np.zeros_like(low)], axis=1)
    distance = np.abs(codebook.decode(codebook.encode(points.astype(np.float32))) - points)
    others = np.maximum(statistics.nonzero - 2, 0)
    numbers = np.stack([np.ones_like(others), np.ones_like(others), statistics.zeros], axis=1)
    totals = (others * error + (numbers * distance**power).sum(axis=1) for power, error in enumerate(within, 1))
    absolute, square = (total / statistics.count for total in totals)
    return np.where(varied, absolute, distance[:, 0]), np.where(varied, square, distance[:, 0] ** 2)


@dataclass(frozen=True)
class _KnownWeights:
    """The errors (R, 3) of the weights -M, M and 0 of each row, and the share of each in the row's weights (R, 3)."""

    errors: Rows
    shares: Rows


def expected_weight_error(statistics: RowStatistics, fit: Fit, codebook: AnyCodebook) -> tuple[Rows, Rows]:
    """Return the expected absolute and squared error of the weights of each row (R,), given the row's largest |w|.

    A row of n weights has no weight beyond its largest magnitude M, so the density there does not count. Of the n
    weights, z are zero, one has the magnitude M and the others are distributed as the fit under |X| <= M:

        E = ((n - z - 1) E[d(X - Q(X)) | |X| <= M] + d(M) + z d(0)) / n,

    with d(M) averaged over both signs by their densities. Both are infinite where the distribution has no mean or no
    variance.
    """
    largest = statistics.max_abs
    mae, mse = expected_error(fit, codebook, np.where(largest > 0, largest, np.inf))
    known = _known_weights(statistics, fit, codebook)
    others = np.maximum(statistics.nonzero - 1, 0) / statistics.count
    with np.errstate(invalid="ignore"):
        parts = [np.where(others > 0, others * error, 0) for error in (mae, mse)]
    absolute, square = ((known.shares * known.errors**power).sum(axis=1) for power in (1, 2))
    return parts[0] + absolute, parts[1] + square


def _known_weights(statistics: RowStatistics, fit: Fit, codebook: AnyCodebook) -> _KnownWeights:
    """Return the weights of each row whose magnitude is known; the sign of M has the share of its density."""
    largest = statistics.max_abs
    points = np.stack([-largest, largest, np.zeros_like(largest)], axis=1)
    decoded = codebook.decode(codebook.encode(points.astype(np.float32)))
    density = fit.pdf(points[:, :2])
    total = density.sum(axis=1, keepdims=True)
    signs = np.divide(density, total, out=np.full_like(density, 0.5), where=total > 0)
    shares = np.hstack([signs * (statistics.nonzero > 0)[:, None], statistics.zeros[:, None]])
    return _KnownWeights(np.abs(decoded - points), shares / statistics.count[:, None])
