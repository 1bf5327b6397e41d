"""Samples of weights and their fits, for the tests of the plug-ins."""

import numpy as np
from scipy import stats

from quant.methods.distributions.selection import select
from quant.methods.distributions.statistics import summarise
from quant.methods.registry import DISTRIBUTIONS


def sample(family, rows=1, n=4000, scale=1.0, seed=0):
    """Return float32 weights (rows, n) from a Gaussian or Laplace distribution."""
    kind = {"gaussian": stats.norm, "laplace": stats.laplace}[family]
    return kind.rvs(size=(rows, n), scale=scale, random_state=seed).astype(np.float32)


def fitted(rows):
    """Return the statistics of the rows and the fit that AIC chooses among all families."""
    statistics = summarise(rows)
    return statistics, select(statistics, tuple(DISTRIBUTIONS), "aic")
