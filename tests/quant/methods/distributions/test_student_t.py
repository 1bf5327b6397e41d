"""Student's t: infinite moments, limits of the degrees of freedom, and the likelihood's derivatives."""

import numpy as np
import pytest
from scipy import stats

from quant.methods.distributions.sample import fit_sample
from quant.methods.distributions.statistics import summarise
from quant.methods.distributions.student_t import MAX_NU, MIN_NU, StudentT, _likelihood
from tests.quant.reference import unit_fit


@pytest.mark.parametrize(("nu", "orders"), [(0.8, ()), (1.0, ()), (1.5, (1,)), (2.0, (1,)), (2.5, (1, 2))])
def test_moments_up_to_the_degrees_of_freedom_are_finite(nu, orders):
    moments = unit_fit("student_t", nu).partial_moments(np.zeros(1))
    assert tuple(k for k in (1, 2) if np.isfinite(moments[k, 0])) == orders


@pytest.mark.parametrize("compiled", [False, True])
def test_the_degrees_of_freedom_stay_within_their_limits(compiled):
    light = np.linspace(-1, 1, 2000)
    heavy = np.concatenate([np.full(1900, 1e-6), np.geomspace(1e-5, 1, 100)])
    nu = StudentT().fit(summarise(np.array([light, heavy], np.float32), compiled)).shape
    assert nu[0] == pytest.approx(MAX_NU)
    assert MIN_NU <= nu[1] < 1


def test_gradient_and_hessian_are_those_of_differences():
    sample = fit_sample(summarise(stats.t(4).rvs((2, 500), random_state=0).astype(np.float32)))
    theta, h = np.array([[0.01, -0.02], [-2.0, -1.5], [1.2, 0.4]]), 1e-5
    _, gradient, hessian = _likelihood(sample, theta)
    for p in range(3):
        offset = h * np.eye(3)[:, p : p + 1]
        above, below = _likelihood(sample, theta + offset), _likelihood(sample, theta - offset)
        np.testing.assert_allclose(gradient[p], (above[0] - below[0]) / (2 * h), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(hessian[p], (above[1] - below[1]) / (2 * h), rtol=1e-4, atol=1e-5)
