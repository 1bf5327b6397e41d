"""Row statistics: exact sums, bins with exact edges, and refused weights."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from quant.errors import NonFiniteWeight
from quant.methods.distributions.statistics import summarise

FLOATS = st.floats(-(2.0**90), 2.0**90, width=32)


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 30)), elements=FLOATS))
def test_counts_moments_and_bins_are_those_of_the_rows(rows):
    statistics = summarise(rows)
    wide = rows.astype(np.float64)
    np.testing.assert_array_equal(statistics.count, rows.shape[1])
    np.testing.assert_array_equal(statistics.zeros, (rows == 0).sum(1))
    np.testing.assert_array_equal(statistics.minimum, wide.min(1))
    np.testing.assert_array_equal(statistics.maximum, wide.max(1))
    np.testing.assert_allclose(statistics.sum_abs, np.abs(wide).sum(1))
    np.testing.assert_allclose(statistics.sum_sq, (wide**2).sum(1))
    np.testing.assert_array_equal(statistics.counts.sum((1, 2)), (rows != 0).sum(1))
    np.testing.assert_array_equal(statistics.counts[:, 1].sum(1), (rows > 0).sum(1))


def test_bins_hold_what_lies_between_their_edges():
    rows = np.random.default_rng(0).normal(size=(1, 5000)).astype(np.float32)
    statistics = summarise(rows)
    expected, _ = np.histogram(rows[rows > 0].astype(np.float64), statistics.edges)
    np.testing.assert_array_equal(statistics.counts[0, 1, 1:], expected[1:])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_weights_are_refused_with_their_row(value):
    rows = np.ones((3, 4), np.float32)
    rows[2, 1] = value
    with pytest.raises(NonFiniteWeight, match="row 2"):
        summarise(rows)


@pytest.mark.parametrize("shape", [(1, 600_000), (700, 500), (5, 1)])
def test_the_compiled_pass_is_the_numpy_one(shape):
    rows = np.random.default_rng(0).standard_t(3, size=shape).astype(np.float32)
    rows.ravel()[: min(rows.size, 5)] = [0.0, -0.0, 1e-40, -500.0, 500.0][: rows.size]
    plain, compiled = summarise(rows), summarise(rows, compiled=True)
    for name in ("count", "zeros", "minimum", "maximum", "counts", "edges"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(compiled, name))
    for name in ("sum", "sum_abs", "sum_sq"):
        np.testing.assert_allclose(getattr(plain, name), getattr(compiled, name), rtol=1e-9, atol=1e-9)


def test_selected_rows_have_their_own_statistics_and_all_rows_are_not_copied():
    statistics = summarise(np.random.default_rng(0).normal(size=(4, 50)).astype(np.float32))
    part = statistics.select_rows(np.array([3, 1]))
    np.testing.assert_array_equal(part.sum, statistics.sum[[3, 1]])
    np.testing.assert_array_equal(part.counts, statistics.counts[[3, 1]])
    assert statistics.select_rows(np.ones(4, bool)) is statistics


def test_parts_of_a_weight_share_the_bins_of_the_whole():
    rows = np.random.default_rng(0).normal(size=(2, 400)).astype(np.float32)
    whole = summarise(rows)
    part = summarise(rows[:1] / 4, largest=float(np.abs(rows).max()))
    np.testing.assert_array_equal(part.edges, whole.edges)
