"""Levels that rows share, against scikit-learn's search."""

import numpy as np
import pytest
from scipy import stats
from sklearn.cluster import KMeans as SklearnKMeans

from quant.methods.grids.kmeans import KMeans
from quant.methods.grids.shared_tables import LARGEST, shared_levels
from tests.quant.methods.samples import fitted

FACTORS = np.array([0.1, 1.0, 0.3, 20.0, 0.1, 2.0], np.float32)[:, None]
ROWS = stats.t(5).rvs((6, 400), random_state=0).astype(np.float32) * FACTORS


def tables(levels):
    """Return the levels of each row as integers, and the scales of the rows."""
    scale = np.abs(levels).max(axis=1, keepdims=True) / LARGEST
    return levels / scale, scale


@pytest.mark.parametrize(("option", "shared"), [("row", 1), ("layer", 6), (2, 2), (3, 3), (4, 3), (5, 3), (100, 6)])
def test_rows_that_share_a_table_have_the_same_integers(option, shared):
    grid = KMeans(tables=option)
    assert grid.rows_per_table(6) == shared
    book = grid.build(*fitted(ROWS), np.ones(6), 3)
    integers = np.rint(tables(book.snapped()[0].levels)[0]).reshape(-1, shared, 8)
    assert (integers == integers[:, :1]).all()
    assert len({tuple(table) for table in integers[:, 0]}) == 6 // shared
    assert grid.by_row == (option == "row")


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_a_shared_table_is_no_worse_than_a_search_with_the_same_scales(bits):
    levels = shared_levels(ROWS, 2**bits, 6)
    integers, scale = tables(levels)
    np.testing.assert_allclose(integers, np.rint(integers), atol=1e-9)
    book = KMeans(tables="layer").build(*fitted(ROWS), np.ones(6), bits)
    error = ((book.decode(book.encode(ROWS)).astype(np.float64) - ROWS) ** 2).sum()
    units, importance = (ROWS / scale).reshape(-1, 1), np.broadcast_to(scale**2, ROWS.shape).reshape(-1)
    search = SklearnKMeans(2**bits, n_init=5, random_state=0).fit(units, sample_weight=importance)
    assert error <= 1.02 * search.inertia_  # levels are rounded to 8 bits


def test_rows_that_differ_in_their_scale_only_are_exact():
    rows = FACTORS * np.array([-127.0, -20.0, 33.0, 90.0] * 16, np.float32)
    book = KMeans(tables="layer").build(*fitted(rows), np.ones(6), 2)
    np.testing.assert_allclose(book.decode(book.encode(rows)), rows, rtol=1e-5)


def test_rows_of_zeros_stay_near_zero_and_change_no_other_row():
    with_zeros = ROWS.copy()
    with_zeros[[0, 3]] = 0
    levels = shared_levels(with_zeros, 4, 6)
    assert (np.abs(levels).max(axis=1) > 0).all()
    assert np.abs(levels[[0, 3]]).max() <= 1e-5 * np.abs(levels[1]).max()
    np.testing.assert_allclose(levels[[1, 2, 4, 5]], shared_levels(ROWS[[1, 2, 4, 5]], 4, 4), rtol=1e-9)
    assert np.isfinite(shared_levels(np.zeros((2, 3), np.float32), 4, 2)).all()


def test_levels_scale_with_the_weights():
    np.testing.assert_array_equal(shared_levels(ROWS * np.float32(4), 8, 3), 4 * shared_levels(ROWS, 8, 3))
