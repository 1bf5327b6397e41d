"""Compiled fits are as likely as those of NumPy, and their distances the same."""

import numpy as np
import pytest

from quant.methods.distributions.compiled import ks_distances
from quant.methods.distributions.selection import ks_interval
from tests.quant.kernel.rows import LENGTHS, fitted


@pytest.mark.parametrize("n", LENGTHS)
def test_fits_are_as_likely_as_those_of_numpy(n):
    (statistics, plain), (_, compiled) = fitted(n, False), fitted(n, True)
    for ours, theirs in zip(compiled.candidates, plain.candidates, strict=True):
        np.testing.assert_array_equal(np.isfinite(ours.aic), np.isfinite(theirs.aic))
        known = np.isfinite(theirs.aic)
        gain = (ours.log_likelihood[known] - theirs.log_likelihood[known]) / np.maximum(statistics.nonzero[known], 1)
        assert (gain > -5e-4).all(), ours.fitted.family  # cusps: which of two is found first
        assert not np.isnan(ours.log_likelihood[known]).any()
    assert np.mean(plain.chosen == compiled.chosen) > 0.95


@pytest.mark.parametrize("n", LENGTHS)
def test_the_distance_is_that_of_numpy(n):
    statistics, fit = fitted(n, True)
    for candidate in fit.candidates:
        known = np.isfinite(candidate.aic)
        some, fitted_to_some = statistics.select_rows(known), candidate.fitted.select_rows(known)
        exact = ks_interval(fitted_to_some, some)[0]
        np.testing.assert_allclose(ks_distances(fitted_to_some, some), exact, rtol=1e-12, atol=1e-12)
