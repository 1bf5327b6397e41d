"""The sufficient statistic is exact where it says so, and finds what must be refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from quant import kernel, statistics
from quant.errors import NonFiniteWeight
from quant.granularity import PerChannel, PerTensor
from quant.statistics import summarise

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


@pytest.mark.parametrize("shape", [(1, 300_000), (700, 500), (5, 1)])
def test_the_compiled_pass_is_the_numpy_one(shape):
    rows = np.random.default_rng(0).standard_t(3, size=shape).astype(np.float32)
    rows.ravel()[: min(rows.size, 5)] = [0.0, -0.0, 1e-40, -500.0, 500.0][: rows.size]
    rows = np.clip(rows, -1e3, 1e3)
    base, _ = statistics._bins(np.abs(rows).max())
    results = []
    for reduce in (kernel.reduce_rows, statistics.reduce_rows):
        counts, sums = np.zeros((shape[0], 2 * statistics.BINS), np.int64), np.zeros((3, shape[0]))
        reduce(rows, rows.view(np.uint32), 19, base, counts, sums)
        results.append((counts, sums))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-9, atol=1e-9)


def test_large_weights_go_through_the_compiled_pass(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(4, 1000)).astype(np.float32)
    plain = summarise(rows)
    monkeypatch.setattr(statistics, "KERNEL_PAYS", 1)
    compiled = summarise(rows)
    np.testing.assert_array_equal(plain.counts, compiled.counts)
    np.testing.assert_allclose(plain.sum_sq, compiled.sum_sq)
