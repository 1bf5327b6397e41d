"""Levels that several rows share: the same multiples of a scale that each row has of its own."""

import numpy as np
from numpy.typing import NDArray

from quant.methods.distributions.sample import Sample
from quant.methods.grids.codebook import Codebook, Rows
from quant.methods.grids.intervals import optimal_levels

BINS = 256
"""Bins of a table's weights from which the first levels follow by dynamic programming."""
PASSES = 4
"""Passes in which levels and scales are each brought to the least squared error, the other fixed."""
LARGEST = 127
"""The largest magnitude of a level in a table of 8-bit integers."""
ZERO_ROW = 1e-6
"""The scale of a row of zeros as a fraction of the least scale of other rows."""
MIN_SCALE = 1e-30
"""The least scale and the least unit of levels, which float32 holds with all its digits."""


def shared_levels(rows: NDArray[np.float32], count: int, rows_per_table: int) -> Rows:
    """Return the levels (R, count), ascending; those of the rows of a table are the same integers times their scales.

    With the table c of 8-bit integers and the scale s of each row, the squared error over all rows of a table

        sum_r sum_i (w_ri - s_r c_q(r,i))^2

    is brought down by turns (Lloyd, 1982): each weight goes to its nearest level q, each level to the mean of its
    weights w / s with the weights s^2, and each scale to sum(w c) / sum(c^2). The first scales are the root mean
    squares of the rows, and the first levels those of least squared error on a histogram of w / s (Wang and Song,
    2011).

    Args:
        rows: The weights (R, n).
        count: The number of levels.
        rows_per_table: Consecutive rows that share a table; a divisor of R.
    """
    weights = rows.reshape(-1, rows_per_table, rows.shape[1]).astype(np.float64)
    scale = np.sqrt(np.mean(weights**2, axis=2, keepdims=True))
    used = scale > 0
    levels = _first_levels(weights, scale, count)
    for _ in range(PASSES):
        codes = _nearest(weights, scale, levels)
        levels = _means(weights, scale, codes, levels)
        scale = _scales(weights, scale, _take(levels, codes))
    largest = np.maximum(np.abs(levels).max(axis=1, keepdims=True), MIN_SCALE)
    table = np.rint(levels * (LARGEST / largest))
    scale = _scales(weights, scale, _take(table, _nearest(weights, scale * largest[:, :, None] / LARGEST, table)))
    least = scale[used].min() if used.any() else 1.0
    scale = np.maximum(np.where(used, scale, ZERO_ROW * least), MIN_SCALE)
    shared: Rows = (scale * table[:, None, :]).reshape(len(rows), count)
    return shared


def _first_levels(weights: Rows, scale: Rows, count: int) -> Rows:
    """Return the levels (T, count) of least squared error on a histogram of the weights (T, g, n) over their scales."""
    tables = len(weights)
    units = _units(weights, scale).reshape(tables, -1)
    reach = np.maximum(np.abs(units).max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    bins = np.minimum(((units / reach + 1) * (BINS / 2)).astype(np.intp), BINS - 1)
    places = (bins + np.arange(tables)[:, None] * BINS).reshape(-1)
    importance = np.broadcast_to(scale**2, weights.shape).reshape(-1)
    mass = np.bincount(places, importance, tables * BINS).reshape(tables, BINS)
    first = np.bincount(places, importance * units.reshape(-1), tables * BINS).reshape(tables, BINS)
    centres = (np.arange(BINS) + 0.5) * (2 / BINS) - 1
    points = np.where(mass > 0, first / np.where(mass > 0, mass, 1), centres * reach)
    total = mass.sum(axis=1, keepdims=True)
    shares = mass / np.where(total > 0, total, 1)
    return np.concatenate([optimal_levels(Sample(*part), count) for part in _each(points, shares, np.ones(tables))])


def _each(*arrays: Rows) -> list[tuple[Rows, ...]]:
    """Return the arrays of each table alone: their costs of intervals take much memory."""
    return [tuple(array[at : at + 1] for array in arrays) for at in range(len(arrays[0]))]


def _units(weights: Rows, scale: Rows) -> Rows:
    """Return weights (T, g, n) over the scales (T, g, 1) of their rows; 0 for a row of zeros."""
    units: Rows = weights / np.where(scale > 0, scale, 1)
    return units


def _nearest(weights: Rows, scale: Rows, levels: Rows) -> NDArray[np.intp]:
    """Return the number of the nearest level (T, g, n) of each weight."""
    units = _units(weights, scale).reshape(len(weights), -1).astype(np.float32)
    codes = Codebook.from_levels(levels).encode(units).view(np.uint8)
    return codes.astype(np.intp).reshape(weights.shape)


def _take(levels: Rows, codes: NDArray[np.intp]) -> Rows:
    """Return the levels (T, g, n) with these numbers."""
    flat = codes.reshape(len(codes), -1)
    return np.take_along_axis(levels, flat, axis=1).reshape(codes.shape)


def _means(weights: Rows, scale: Rows, codes: NDArray[np.intp], levels: Rows) -> Rows:
    """Return the levels (T, K) of least squared error for these codes; a level without weights stays."""
    places = (codes + (np.arange(len(levels)) * levels.shape[1])[:, None, None]).reshape(-1)
    squares = np.broadcast_to(scale**2, weights.shape).reshape(-1)
    mass = np.bincount(places, squares, levels.size).reshape(levels.shape)
    first = np.bincount(places, (weights * scale).reshape(-1), levels.size).reshape(levels.shape)
    return np.sort(np.where(mass > 0, first / np.where(mass > 0, mass, 1), levels), axis=1)


def _scales(weights: Rows, scale: Rows, values: Rows) -> Rows:
    """Return the scales (T, g, 1) of least squared error for weights at these levels; others where none is positive."""
    product = np.einsum("tgn,tgn->tg", weights, values)[:, :, None]
    energy = np.einsum("tgn,tgn->tg", values, values)[:, :, None]
    usable = (product > 0) & (energy > 0)
    return np.where(usable, product / np.where(usable, energy, 1), scale)
