"""The range of least Kullback-Leibler divergence."""

import numpy as np

from quant.methods.ranges.entropy import EntropyRange
from tests.quant.methods.ranges.observations import observed

RNG = np.random.default_rng(0)


def test_rare_outliers_are_clipped_and_the_bulk_is_not():
    values = np.concatenate([RNG.normal(size=200_000), [60.0, -60.0]])
    lower, upper = EntropyRange().range(observed(EntropyRange(), values), 256)
    assert 2 < upper < 20
    assert lower == -upper


def test_a_histogram_of_few_bins_takes_the_extremes():
    seen = observed(EntropyRange(), np.array([0.0, 0.001, 1e-4, 0.0011]))
    seen.counts[:] = 0
    assert EntropyRange().range(seen, 256) == seen.extremes
