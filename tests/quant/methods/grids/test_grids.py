"""Grids: the published quantizers, and the laws that every grid obeys."""

from typing import get_args

import numpy as np
import pytest
from scipy import stats
from sklearn.cluster import KMeans as SklearnKMeans

from quant.methods.distributions.selection import select
from quant.methods.distributions.statistics import summarise
from quant.methods.grids.codebook import Codebook
from quant.methods.grids.expected_error import expected_error
from quant.methods.grids.lloyd_max import LloydMax
from quant.methods.registry import DISTRIBUTIONS, Grid
from tests.quant.reference import WIDE, table, unit_fit

GRIDS = {grid.model_fields["name"].default: grid() for grid in get_args(Grid)}
named = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)


def fitted(rows):
    statistics = summarise(rows)
    return statistics, select(statistics, tuple(DISTRIBUTIONS), "aic")


def weights(rows=3, n=2000, seed=0):
    return stats.t(5).rvs((rows, n), random_state=seed).astype(np.float32) * np.float32(0.1)


@pytest.mark.parametrize("row", [row for row in table("methods/grids/lloyd_max.txt") if row[2] <= 64], ids=str)
def test_lloyd_max_is_the_published_quantizer(row):
    family, shape, count, mse = row
    fit = unit_fit(family, shape)
    book = LloydMax().build(WIDE, fit, WIDE.max_abs, int(np.log2(count)))
    assert expected_error(fit, book)[1][0] == pytest.approx(mse, rel=2e-6)


def test_lloyd_max_has_maxs_levels():
    levels = LloydMax().build(WIDE, unit_fit("gaussian"), WIDE.max_abs, 2).levels[0]
    np.testing.assert_allclose(levels[2:], [0.45278003, 1.51041761], rtol=1e-7)  # Max (1960): .4528, 1.510


@pytest.mark.parametrize("row", [row for row in table("methods/grids/ternary.txt") if row[2] != "ternary_twn"], ids=str)
def test_ternary_grids_are_the_published_ones(row):
    family, shape, name, threshold, level, mae, mse, largest = row
    fit = unit_fit(family, shape)
    clip = np.array([largest]) if name == "ternary_tquant" else WIDE.max_abs
    book = GRIDS[name].build(WIDE, fit, clip, 2)
    assert book.edges[0, 1] == pytest.approx(threshold, rel=2e-4 if name == "ternary_tquant" else 1e-6)
    assert book.levels[0, 2] == pytest.approx(level, rel=2e-4 if name == "ternary_tquant" else 1e-6)
    found = expected_error(fit, book)
    assert found[0][0] == pytest.approx(mae, rel=1e-3 if name == "ternary_tquant" else 1e-6)
    assert found[1][0] == pytest.approx(mse, rel=1e-3 if name == "ternary_tquant" else 1e-6)


@pytest.mark.parametrize(("family", "threshold", "level"), [("norm", 0.5585192, 1.1841607), ("laplace", 0.7, 1.7)])
def test_twn_comes_to_its_published_values_on_a_large_sample(family, threshold, level):
    rows = getattr(stats, family).rvs(size=(1, 400_000), random_state=0).astype(np.float32)
    book = GRIDS["ternary_twn"].build(*fitted(rows), np.array([1.0]), 2)
    assert book.edges[0, 1] == pytest.approx(threshold, rel=0.01)
    assert book.levels[0, 2] == pytest.approx(level, rel=0.01)


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_kmeans_is_no_worse_than_a_search_with_restarts(bits):
    rows = weights(n=800)
    statistics, fit = fitted(rows)
    book = GRIDS["kmeans"].build(statistics, fit, statistics.max_abs, bits)
    for row, measured in zip(rows, ((book.decode(book.encode(rows)) - rows) ** 2).sum(1), strict=True):
        search = SklearnKMeans(2**bits, n_init=10, random_state=0).fit(row[:, None])
        assert measured <= 1.03 * search.inertia_  # the histogram has 16 bins an octave, the search has the weights


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


def test_levels_are_finite_where_the_fitted_distribution_has_no_variance():
    rows = np.stack([stats.t.rvs(df, size=4000, random_state=3).astype(np.float32) for df in (0.8, 1.5, 5)])
    statistics, fit = fitted(rows)
    assert not np.isfinite(fit.partial_moments(np.zeros(3))[2]).all()
    book = GRIDS["lloyd_max"].build(statistics, fit, statistics.max_abs, 4)
    assert np.isfinite(book.levels).all()
    assert (np.abs(book.levels[:2]) <= statistics.max_abs[:2, None]).all()


@named
def test_a_grid_round_trips_through_json(grid):
    assert type(grid).model_validate_json(grid.model_dump_json()) == grid


def test_encoding_is_to_the_nearest_level():
    rows = weights()
    book = Codebook.from_levels(np.sort(np.random.default_rng(0).normal(size=(3, 11)) * 0.1, axis=1))
    nearest = np.abs(rows[:, :, None] - book.levels[:, None]).argmin(axis=2)
    np.testing.assert_array_equal(book.encode(rows), nearest)
