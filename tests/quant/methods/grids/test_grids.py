"""The laws that every grid obeys."""

from typing import get_args

import numpy as np
import pytest
from scipy import stats

from quant.methods.grids.codebook import Codebook, UniformCodebook
from quant.methods.grids.expected_error import expected_error
from quant.methods.registry import Grid
from tests.quant.methods.samples import fitted

GRIDS = {grid.model_fields["name"].default: grid() for grid in get_args(Grid)}
named = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)


def weights(rows=3, n=2000, seed=0):
    return stats.t(5).rvs((rows, n), random_state=seed).astype(np.float32) * np.float32(0.1)


@named
def test_levels_ascend_edges_lie_between_and_codes_come_back(grid):
    rows = weights()
    statistics, fit = fitted(rows)
    for bits in grid.widths:
        book = grid.build(statistics, fit, statistics.max_abs, bits)
        levels, edges = book.levels, book.edges
        assert (np.diff(levels, axis=1) >= 0).all()
        assert ((levels[:, :-1] <= edges) & (edges <= levels[:, 1:])).all()
        assert levels.shape[1] <= 2**bits
        decoded = book.decode(book.encode(rows))
        index = np.array([np.searchsorted(e, r) for e, r in zip(edges, rows, strict=True)])
        np.testing.assert_allclose(decoded, np.take_along_axis(levels, index, 1).astype(np.float32), rtol=1e-6)


@named
def test_expected_error_is_near_the_measured_one(grid):
    rows = stats.norm.rvs(size=(4, 20_000), random_state=1).astype(np.float32)
    statistics, fit = fitted(rows)
    bits = min(4, grid.widths[-1])
    clip = np.full(4, 3.0) if grid.name != "ternary_tquant" else statistics.max_abs
    book = grid.build(statistics, fit, clip, bits)
    error = book.decode(book.encode(rows)).astype(np.float64) - rows
    mae, mse = expected_error(fit, book)
    np.testing.assert_allclose(mae, np.abs(error).mean(1), rtol=0.05)
    np.testing.assert_allclose(mse, (error**2).mean(1), rtol=0.1)


@named
@pytest.mark.parametrize("row", [[0.0] * 8, [0.25] * 8, [0.0] * 7 + [-3.0], [1e-38] * 4 + [1e30] * 4])
def test_degenerate_rows_are_finite_and_zero_rows_exact(grid, row):
    rows = np.array([row], np.float32)
    statistics, fit = fitted(rows)
    book = grid.build(statistics, fit, statistics.max_abs, grid.widths[0])
    assert np.isfinite(book.levels).all()
    assert np.isfinite(book.decode(book.encode(rows))).all()
    if not rows.any() and grid.name in ("uniform", "apot", "kmeans", "ternary_tquant"):
        np.testing.assert_array_equal(book.decode(book.encode(rows)), rows)


@named
def test_a_grid_round_trips_through_json(grid):
    assert type(grid).model_validate_json(grid.model_dump_json()) == grid


@named
def test_a_grid_says_what_its_codes_are(grid):
    statistics, fit = fitted(weights())
    book = grid.build(statistics, fit, statistics.max_abs, grid.widths[0])
    assert isinstance(book, Codebook) != grid.integer_levels
    assert isinstance(book, UniformCodebook) == grid.uniform
