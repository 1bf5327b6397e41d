"""The histogram of an activation over all batches."""

import numpy as np
import pytest

from quant.calibration.histogram import SLAB, Histogram
from quant.kernel import dispatch

RNG = np.random.default_rng(0)


def test_the_histogram_of_batches_is_that_of_all_values():
    batches = [RNG.normal(scale=scale, size=4000).astype(np.float32) for scale in (0.01, 1, 30, 2)]
    histogram = Histogram()
    for batch in batches:
        histogram.add(batch, float(np.abs(batch).max()))
    expected, _ = np.histogram(np.concatenate(batches).astype(np.float64), histogram.edges)
    np.testing.assert_array_equal(histogram.counts, expected)


@pytest.mark.parametrize("scales", [(1, 30), (30, 1), (1, 0), (0, 1), (0, 0)])
def test_the_sum_of_two_histograms_is_that_of_all_values(scales):
    both, parts = Histogram(), []
    for scale in scales:
        values = RNG.normal(size=1000).astype(np.float32) * np.float32(scale)
        parts.append(Histogram())
        for histogram in (both, parts[-1]):
            histogram.add(values, float(np.abs(values).max()))
    total = parts[0].plus(parts[1])
    np.testing.assert_array_equal(total.counts, both.counts)
    np.testing.assert_array_equal(total.edges, both.edges)


@pytest.mark.parametrize("size", [1, 1000, 3 * SLAB, 40 * SLAB + 7])
def test_threads_count_the_same_values(monkeypatch, size):
    dispatch.load()
    values = RNG.standard_t(3, size=size).astype(np.float32) * (RNG.random(size) > 0.2)
    both = []
    for loaded in (True, False):
        monkeypatch.setattr("quant.kernel.dispatch.loaded", lambda loaded=loaded: loaded)
        both.append(Histogram())
        both[-1].add(values.astype(np.float32), float(np.abs(values).max(initial=1)))
    np.testing.assert_array_equal(both[0].counts, both[1].counts)
    assert both[0].counts.sum() == np.count_nonzero(values)
