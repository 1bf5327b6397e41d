"""The Gaussian fit."""

import numpy as np

from quant.methods.distributions.gaussian import Gaussian
from quant.methods.distributions.statistics import summarise


def test_the_fit_is_the_mean_and_standard_deviation_of_the_non_zero_weights():
    rows = np.random.default_rng(0).normal(0.1, 0.5, size=(3, 400)).astype(np.float32)
    rows[:, ::7] = 0
    fitted = Gaussian().fit(summarise(rows))
    for row, weights in enumerate(rows.astype(np.float64)):
        np.testing.assert_allclose(fitted.location[row], weights[weights != 0].mean(), rtol=1e-9)
        np.testing.assert_allclose(fitted.scale[row], weights[weights != 0].std(), rtol=1e-9)
