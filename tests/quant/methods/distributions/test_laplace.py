"""The Laplace fit."""

import numpy as np

from quant.methods.distributions.laplace import Laplace
from quant.methods.distributions.statistics import summarise


def test_the_fit_is_the_median_and_the_mean_absolute_deviation():
    rows = np.random.default_rng(0).laplace(0.2, 0.5, size=(4, 6000)).astype(np.float32)
    fitted = Laplace().fit(summarise(rows))
    median = np.median(rows, axis=1)
    np.testing.assert_allclose(fitted.location, median, atol=0.01)  # a bin is 1/8 octave wide
    np.testing.assert_allclose(fitted.scale, np.abs(rows - median[:, None]).mean(axis=1), rtol=5e-3)
