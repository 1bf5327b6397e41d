"""Special functions of the loops against scipy."""

import numpy as np
import pytest
from scipy import special

from quant.kernel.special import log_beta_half, trigamma


@pytest.mark.parametrize("x", [1e-3, 0.1, 0.5, 1.0, 3.7, 8.0, 40.0, 1e4])
def test_trigamma_is_scipys(x):
    assert trigamma.py_func(x) == pytest.approx(special.polygamma(1, x), rel=1e-9)


@pytest.mark.parametrize("a", [1e-2, 0.5, 3.0, 500.0])
def test_the_log_ratio_of_gamma_functions_is_scipys(a):
    expected = special.gammaln(a + 0.5) - special.gammaln(a)
    np.testing.assert_allclose(log_beta_half.py_func(a), expected, rtol=1e-9)
