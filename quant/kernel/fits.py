"""Maximum-likelihood fits, log-likelihoods and Kolmogorov-Smirnov distances of the families, row by row.

The NumPy references are the `fit` methods of the families in `quant.methods.distributions`, and `ks_interval` in
`quant.methods.distributions.selection`.
"""

import math

import numpy as np

from quant.kernel.compile import Array, compiled, inner
from quant.kernel.families import GENERALIZED_GAUSSIAN, LAPLACE, STUDENT_T, Row, cdf, pdf, prepared
from quant.kernel.generalized_gaussian import central_points, fit_generalized_gaussian
from quant.kernel.sample import drop_empty, highest_bin, quantile, read_sample, spread_about
from quant.kernel.student_t import fit_student_t

LEAST = math.log(1e-300)
"""The least log-density of a weight; a density of 0 would make the likelihood of the whole row 0."""
CENTRES = 64
"""The most locations that are tried for a density with a cusp."""
ANCHORS_APART = 0.04
"""The share of the weights between neighbouring edges at which the gap is always measured."""


@compiled
def fit_rows(
    first: int,
    last: int,
    code: int,
    rows: Array,
    exact: bool,
    counts: Array,
    edges: Array,
    unit: Array,
    degenerate: Array,
    width: int,
    merged: int,
    location: Array,
    scale: Array,
    shape: Array,
) -> None:
    """Fit the family to each row: fill location and scale, in the weight's unit, and shape, each (R,)."""
    size = max(2 * width, rows.shape[1] if exact else 0, 2)
    points, shares, logs, centres = np.empty(size), np.empty(size), np.empty(size), np.empty(CENTRES)
    for r in range(first, last):
        number = read_sample(rows[r], exact, counts[r], edges, unit[r], degenerate[r], width, merged, points, shares)
        median = quantile(points, shares, number, 0.5)
        count = central_points(points, shares, number, exact, centres) if code == GENERALIZED_GAUSSIAN else 0
        number = drop_empty(points, shares, number)
        if code == LAPLACE:
            location[r], scale[r] = median, max(spread_about(points, shares, number, median)[0], 1e-12)
        elif code == STUDENT_T:
            location[r], scale[r], shape[r] = fit_student_t(points, shares, number, median)
        else:
            location[r], scale[r], shape[r] = fit_generalized_gaussian(
                points, shares, number, median, centres[:count], logs
            )
        location[r] *= unit[r]
        scale[r] *= unit[r]


@inner
def _log_density(row: Row, t: float) -> float:
    """Return the log-density of the unit variable at t >= 0."""
    code, shape, factor = row[0], row[3], row[4]
    if code == STUDENT_T:
        return factor - (shape + 1) / 2 * math.log1p(t * t / shape)
    if code == GENERALIZED_GAUSSIAN:
        return factor - t**shape
    if code == LAPLACE:
        return -t - math.log(2.0)
    return -t * t / 2 - math.log(2 * math.pi) / 2


@compiled
def log_likelihoods(
    first: int,
    last: int,
    code: int,
    location: Array,
    scale: Array,
    shape: Array,
    rows: Array,
    exact: bool,
    counts: Array,
    edges: Array,
    likelihood: Array,
) -> None:
    """Fill likelihood (R,) with the log-likelihood of the non-zero weights; of their bins' centres unless `exact`."""
    for r in range(first, last):
        row = prepared(code, location[r], scale[r], shape[r])
        log_scale, total = math.log(scale[r]), 0.0
        if exact:
            for weight in rows[r]:
                if weight != 0:
                    total += max(_log_density(row, abs(weight - location[r]) / scale[r]) - log_scale, LEAST)
        else:
            for column in range(counts.shape[2]):
                middle = (edges[column] + edges[column + 1]) / 2
                for side in range(2):
                    count = counts[r, side, column]
                    if count:
                        t = abs((middle if side else -middle) - location[r]) / scale[r]
                        total += count * max(_log_density(row, t) - log_scale, LEAST)
        likelihood[r] = total


@compiled
def ks_distances(
    first: int,
    last: int,
    code: int,
    location: Array,
    scale: Array,
    shape: Array,
    counts: Array,
    edges: Array,
    distance: Array,
) -> None:
    """Fill distance (R,) with the largest gap, over all bin edges, between the empirical and the fitted CDF."""
    size = 2 * counts.shape[2] + 1
    x, below, open_edges = np.empty(size), np.empty(size), np.empty((size, 2), np.int64)
    for r in range(first, last):
        row = prepared(code, location[r], scale[r], shape[r])
        number = _shares_below(counts[r], edges, x, below)
        distance[r] = _largest_gap(row, x, below, number, open_edges) if number else 0.0


@inner
def _shares_below(counts: Array, edges: Array, x: Array, below: Array) -> int:
    """Fill x with the bin edges, ascending, and below with the empirical CDF there; return the number of edges."""
    bins, total = highest_bin(counts) + 1, 0
    x[0], below[0] = -edges[bins], 0.0
    for at in range(2 * bins):
        column = bins - 1 - at if at < bins else at - bins
        total += counts[0 if at < bins else 1, column]
        x[at + 1], below[at + 1] = (-edges[column] if at < bins else edges[column + 1]), total
    for at in range(2 * bins + 1):
        below[at] /= max(total, 1)
    return 2 * bins + 1 if total else 0


@inner
def _largest_gap(row: Row, x: Array, below: Array, number: int, open_edges: Array) -> float:
    """Return the largest gap between the empirical CDF `below` and the fitted CDF at the edges `x`.

    The gap is measured at anchors, edges `ANCHORS_APART` of the weights apart. Between two anchors it is measured only
    where a bound on the gap exceeds the largest gap measured so far.
    """
    model = np.empty(number)
    largest, pending, before = 0.0, 0, 0
    for here in range(number):
        if here in (0, number - 1) or below[here] - below[before] >= ANCHORS_APART:
            model[here] = cdf(row, x[here])
            largest = max(largest, abs(below[here] - model[here]))
            open_edges[pending, 0], open_edges[pending, 1] = before, here
            pending += here > 0
            before = here
    for low, high in open_edges[:pending]:
        if x[low] < row[1] < x[high]:
            largest = _largest_by_halves(row, x, below, model, low, high, open_edges[pending:], largest)
        elif high > low + 1:
            largest = _largest_beside(row, x, below, model, low, high, largest)
    return largest


@inner
def _largest_beside(row: Row, x: Array, below: Array, model: Array, low: int, high: int, largest: float) -> float:
    """Return the largest gap of `largest` and of the edges between two anchors on one side of the location.

    All densities here fall away from the location, so the CDF is concave above it and convex below it. Between two
    anchors it therefore lies between its chord and its tangents, which bounds the gap without evaluating the CDF.
    """
    chord = (model[high] - model[low]) / (x[high] - x[low])
    rises, bends = pdf(row, x[low]), pdf(row, x[high])
    concave = x[low] >= row[1]
    for at in range(low + 1, high):
        by_chord = model[low] + chord * (x[at] - x[low])
        first, second = model[low] + rises * (x[at] - x[low]), model[high] - bends * (x[high] - x[at])
        least, most = (by_chord, min(first, second)) if concave else (max(first, second), by_chord)
        if max(below[at] - least, most - below[at]) > largest:
            largest = max(largest, abs(below[at] - cdf(row, x[at])))
    return largest


@inner
def _largest_by_halves(
    row: Row, x: Array, below: Array, model: Array, low: int, high: int, open_edges: Array, largest: float
) -> float:
    """Return the largest gap of `largest` and of the edges between two anchors on either side of the location.

    Both CDFs rise, so no gap between two edges exceeds the difference of one CDF at the lower edge and the other at
    the upper edge. An interval is halved only if this bound exceeds the largest gap measured so far.
    """
    pending = 1
    open_edges[0, 0], open_edges[0, 1] = low, high
    while pending:
        pending -= 1
        low, high = open_edges[pending]
        within = max(below[high - 1] - model[low], model[high] - below[low + 1])
        if high - low < 2 or within <= largest:
            continue
        middle = (low + high) // 2
        model[middle] = cdf(row, x[middle])
        largest = max(largest, abs(below[middle] - model[middle]))
        open_edges[pending, 0], open_edges[pending, 1] = low, middle
        open_edges[pending + 1, 0], open_edges[pending + 1, 1] = middle, high
        pending += 2
    return largest
