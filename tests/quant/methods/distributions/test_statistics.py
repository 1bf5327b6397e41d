"""The sufficient statistic is exact where it says so, and finds what must be refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from quant.errors import NonFiniteWeight
from quant.methods.distributions.sample import fit_sample
from quant.methods.distributions.statistics import summarise
from quant.weights.granularity import PerChannel, PerTensor

FLOATS = st.floats(-(2.0**90), 2.0**90, width=32)


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 30)), elements=FLOATS))
def test_counts_moments_and_bins_are_those_of_the_rows(rows):
    found = summarise(rows)
    wide = rows.astype(np.float64)
    np.testing.assert_array_equal(found.count, rows.shape[1])
    np.testing.assert_array_equal(found.zeros, (rows == 0).sum(1))
    np.testing.assert_array_equal(found.minimum, wide.min(1))
    np.testing.assert_array_equal(found.maximum, wide.max(1))
    np.testing.assert_allclose(found.sum_abs, np.abs(wide).sum(1))
    np.testing.assert_allclose(found.sum_sq, (wide**2).sum(1))
    np.testing.assert_array_equal(found.counts.sum((1, 2)), (rows != 0).sum(1))
    np.testing.assert_array_equal(found.counts[:, 1].sum(1), (rows > 0).sum(1))


def test_bins_hold_what_lies_between_their_edges():
    rows = np.random.default_rng(0).normal(size=(1, 5000)).astype(np.float32)
    found = summarise(rows)
    expected, _ = np.histogram(rows[rows > 0].astype(np.float64), found.edges)
    np.testing.assert_array_equal(found.counts[0, 1, 1:], expected[1:])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_weights_are_refused_with_their_row(value):
    rows = np.ones((3, 4), np.float32)
    rows[2, 1] = value
    with pytest.raises(NonFiniteWeight, match="row 2"):
        summarise(rows)


@pytest.mark.parametrize("granularity", [PerTensor(), PerChannel(0), PerChannel(1), PerChannel(2)])
def test_rows_are_restored_to_their_shape(granularity):
    weight = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    rows = granularity.rows(weight)
    assert rows.shape[0] == (1 if granularity == PerTensor() else weight.shape[granularity.axis])
    np.testing.assert_array_equal(granularity.restore(rows, weight.shape), weight)
    if isinstance(granularity, PerChannel):
        np.testing.assert_array_equal(rows[1], np.take(weight, 1, granularity.axis).ravel())


@pytest.mark.parametrize("shape", [(1, 600_000), (700, 500), (5, 1)])
def test_the_compiled_pass_is_the_numpy_one(shape):
    rows = np.random.default_rng(0).standard_t(3, size=shape).astype(np.float32)
    rows.ravel()[: min(rows.size, 5)] = [0.0, -0.0, 1e-40, -500.0, 500.0][: rows.size]
    plain, compiled = summarise(rows), summarise(rows, compiled=True)
    for name in ("count", "zeros", "minimum", "maximum", "counts", "edges"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(compiled, name))
    for name in ("sum", "sum_abs", "sum_sq"):
        np.testing.assert_allclose(getattr(plain, name), getattr(compiled, name), rtol=1e-9, atol=1e-9)


def test_rows_of_very_different_size_have_shares_that_add_up_to_one():
    rows = np.random.default_rng(0).normal(size=(3, 300)).astype(np.float32)
    rows[1] *= 2.0**-28
    shares = fit_sample(summarise(rows)).shares
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1)
