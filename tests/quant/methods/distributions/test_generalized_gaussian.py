"""The generalized Gaussian: its special cases and the limits of the exponent."""

import numpy as np
import pytest
from scipy import stats

from quant.methods.distributions.generalized_gaussian import MAX_BETA, MIN_BETA, GeneralizedGaussian
from quant.methods.distributions.statistics import summarise
from tests.quant.reference import unit_fit


@pytest.mark.parametrize(("beta", "family", "factor"), [(1.0, "laplace", 1.0), (2.0, "gaussian", np.sqrt(2))])
def test_laplace_and_gaussian_are_special_cases(beta, family, factor):
    x = np.array([0.2])
    ours, theirs = unit_fit("generalized_gaussian", beta), unit_fit(family)
    np.testing.assert_allclose(ours.cdf(x), theirs.cdf(x * factor))
    scale = np.array([1, factor, factor**2])[:, None]
    np.testing.assert_allclose(ours.partial_moments(x) * scale, theirs.partial_moments(x * factor))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("beta", [0.7, 1.5, 4.0])
def test_the_exponent_of_a_large_sample_is_found(beta, compiled):
    rows = stats.gennorm(beta).rvs((2, 40_000), random_state=0).astype(np.float32)
    np.testing.assert_allclose(GeneralizedGaussian().fit(summarise(rows, compiled)).shape, beta, rtol=0.05)


@pytest.mark.parametrize("compiled", [False, True])
def test_the_exponent_stays_within_its_limits(compiled):
    rows = np.array([np.linspace(-1, 1, 600), [0.1] * 400 + [1.0] * 200], np.float32)
    np.testing.assert_allclose(GeneralizedGaussian().fit(summarise(rows, compiled)).shape, [MAX_BETA, MIN_BETA])
