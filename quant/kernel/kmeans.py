"""Optimal k-means levels of a row's sample by dynamic programming (Yao 1980).

The NumPy references are `quant.methods.grids.kmeans` and `quant.methods.grids.intervals`.
"""

import numpy as np

from quant.kernel.compile import Array, compiled, inner
from quant.kernel.sample import drop_empty, read_sample


@compiled
def optimal_levels(
    first: int,
    last: int,
    rows: Array,
    exact: bool,
    counts: Array,
    edges: Array,
    unit: Array,
    degenerate: Array,
    zero_shares: Array,
    width: int,
    merged: int,
    levels: Array,
) -> None:
    """Fill levels (R, K), ascending, in the weight's unit, with the levels of least squared error on each row's sample.

    A row with fewer than K different weights repeats its largest. `zero_shares` (R,) are the shares of each row's
    weights that are zero.
    """
    size = max(2 * width, rows.shape[1] if exact else 0, 2) + 1
    points, shares = np.empty(size), np.empty(size)
    sums, best = np.empty((3, size + 1)), np.empty((2, size + 1))
    begins = np.empty((levels.shape[1], size + 1), np.int64)
    for r in range(first, last):
        number = read_sample(rows[r], exact, counts[r], edges, unit[r], degenerate[r], width, merged, points, shares)
        number = drop_empty(points, shares, number)
        if zero_shares[r] > 0:
            number = _insert_zeros(points, shares, number, zero_shares[r])
        _add_up(points, shares, number, sums)
        _partition(sums, number, best, begins)
        end = number
        for k in range(levels.shape[1] - 1, -1, -1):
            begin = begins[k, end]
            empty = begin == end
            mean = points[min(end, number - 1)] if empty else _mean(sums, begin, end)
            levels[r, k] = mean * unit[r]
            end = begin
        levels[r].sort()  # the mean of one repeated point may differ from it in the last digit


@inner
def _insert_zeros(points: Array, shares: Array, number: int, share: float) -> int:
    """Insert the point 0 with this share among the points, in place; return the number of points."""
    at = number
    while at > 0 and points[at - 1] > 0:
        points[at], shares[at] = points[at - 1], shares[at - 1] * (1 - share)
        at -= 1
    points[at], shares[at] = 0.0, share
    shares[:at] *= 1 - share
    return number + 1


@inner
def _add_up(points: Array, shares: Array, number: int, sums: Array) -> None:
    """Fill sums (3, number + 1) with the mass, first and second moment of the points before each point."""
    sums[:, 0] = 0
    for at in range(number):
        mass, point = shares[at], points[at]
        sums[0, at + 1] = sums[0, at] + mass
        sums[1, at + 1] = sums[1, at] + mass * point
        sums[2, at + 1] = sums[2, at] + mass * point * point


@inner
def _mean(sums: Array, begin: int, end: int) -> float:
    return (sums[1, end] - sums[1, begin]) / (sums[0, end] - sums[0, begin])


@inner
def _cost(sums: Array, begin: int, end: int) -> float:
    """Return the squared error of the points begin .. end - 1 about their mean."""
    if end - begin < 2:
        return 0.0
    first = sums[1, end] - sums[1, begin]
    return max(sums[2, end] - sums[2, begin] - first * first / (sums[0, end] - sums[0, begin]), 0.0)


@inner
def _partition(sums: Array, number: int, best: Array, begins: Array) -> None:
    """Fill begins[k, end] with the start of the last of the k + 1 intervals that best cover the points before `end`.

    It lies between the start for k intervals and the start for `end + 1` (Yao 1980), so the search takes O(M^2) for
    every k.
    """
    for end in range(number + 1):
        best[0, end], begins[0, end] = _cost(sums, 0, end), 0
    for k in range(1, begins.shape[0]):
        before, here = best[(k - 1) % 2], best[k % 2]
        for end in range(number, -1, -1):
            highest = begins[k, end + 1] if end < number else end
            least = np.inf
            for begin in range(begins[k - 1, end], min(highest, end) + 1):
                cost = before[begin] + _cost(sums, begin, end)
                if cost < least:
                    least, begins[k, end] = cost, begin
            here[end] = least
