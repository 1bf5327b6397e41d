"""Samples of weights: points, shares, quantiles and the bins that they come from."""

import numpy as np
import pytest

from quant.methods.distributions.sample import fit_sample, magnitude_shares, sample, signed_bins
from quant.methods.distributions.statistics import MAX_EXACT_WEIGHTS, summarise


def test_rows_of_very_different_size_have_shares_that_add_up_to_one():
    rows = np.random.default_rng(0).normal(size=(3, 300)).astype(np.float32)
    rows[1] *= 2.0**-28
    shares = fit_sample(summarise(rows)).shares
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1)


@pytest.mark.parametrize("n", [MAX_EXACT_WEIGHTS, 5000])
def test_points_ascend_and_mean_and_quantiles_are_those_of_the_weights(n):
    rows = np.random.default_rng(0).normal(0.3, 1, size=(3, n)).astype(np.float32)
    points = fit_sample(summarise(rows))
    assert (np.diff(points.points, axis=1) >= 0).all()
    np.testing.assert_allclose(points.mean(points.points) * points.unit, rows.mean(axis=1), atol=5e-3)
    for share in (0.1, 0.5, 0.9):
        quantile = np.quantile(rows, share, axis=1)
        np.testing.assert_allclose(points.quantile(share) * points.unit, quantile, atol=0.03)


def test_zeros_of_short_rows_have_no_share():
    points = fit_sample(summarise(np.array([[0.0, 0.0, 0.5, -1.0, 2.0]], np.float32)))
    np.testing.assert_allclose(points.points[0, :3] * points.unit, [-1, 0.5, 2])
    np.testing.assert_allclose(points.shares[0], [1 / 3, 1 / 3, 1 / 3, 0, 0])


@pytest.mark.parametrize("row", [[0.0] * 300, [0.5] * 300, [0.0] * 5])
def test_degenerate_rows_become_two_opposite_points(row):
    points = sample(summarise(np.array([row], np.float32)), 16, 8)
    used = points.shares[0] > 0
    np.testing.assert_array_equal(points.points[0, used], [-1, 1])
    np.testing.assert_array_equal(points.shares[0, used], 0.5)


def test_bins_hold_all_non_zero_weights_and_the_last_ends_at_the_largest():
    rows = np.random.default_rng(0).laplace(size=(3, 4000)).astype(np.float32)
    rows[:, ::10] = 0
    statistics = summarise(rows)
    points, upper, counts = signed_bins(statistics)
    assert (np.diff(points) > 0).all()
    assert (points <= upper).all()
    np.testing.assert_array_equal(counts.sum(axis=1), statistics.nonzero)
    edges, shares = magnitude_shares(statistics)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_array_equal(edges[:, -1], statistics.max_abs)
