"""Intervals against published values and against scipy."""

import numpy as np
import pytest
from scipy.stats import binomtest

from quant.evaluation.intervals import bootstrap, wilson


@pytest.mark.parametrize(("hits", "samples"), [(0, 10), (7, 10), (10, 10), (480, 500)])
def test_wilson_is_that_of_scipy(hits, samples):
    expected = binomtest(hits, samples).proportion_ci(method="wilson")
    assert wilson(hits, samples) == pytest.approx((expected.low, expected.high), abs=1e-9)


def mean_of(values):
    return lambda counts: {"mean": counts @ values / counts.sum(axis=1)}


def test_the_bootstrap_of_a_mean_has_the_width_of_its_standard_error():
    values = np.random.default_rng(0).normal(size=400)
    low, high = bootstrap(mean_of(values), 400, 1000, 0)["mean"]
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert bootstrap(mean_of(values), 400, 1000, 0)["mean"] == (low, high)


def test_one_sample_and_figures_that_are_missing_have_no_interval():
    assert bootstrap(mean_of(np.ones(1)), 1, 100, 0)["mean"] is None
    assert bootstrap(mean_of(np.array([1.0, np.nan])), 2, 100, 0)["mean"] is None
