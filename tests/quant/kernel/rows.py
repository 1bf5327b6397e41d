"""Rows of weights, and unit families, on which compiled loops are compared with NumPy."""

import numpy as np
from scipy import stats

from quant.methods.distributions.selection import select
from quant.methods.distributions.statistics import summarise
from quant.methods.registry import DISTRIBUTIONS

UNIT = [
    ("gaussian", 1.0), ("laplace", 1.0), ("student_t", 1.5), ("student_t", 2.1), ("student_t", 20.0),
    ("generalized_gaussian", 0.3), ("generalized_gaussian", 0.5), ("generalized_gaussian", 1.4),
    ("generalized_gaussian", 3.0), ("generalized_gaussian", 15.0),
]  # fmt: skip
"""Family and shape of unit distributions, light and heavy tails among them."""
SOURCES = (
    stats.norm(),
    stats.laplace(),
    stats.t(4),
    stats.t(1.6),
    stats.gennorm(0.7),
    stats.gennorm(1.5),
    stats.gennorm(5),
)
LENGTHS = (9, 100, 300, 1500)


def weights(n):
    """Rows of every source off their centre, one of zeros, one constant, one nearly all zeros, one very small."""
    drawn = [source.rvs((8, n), random_state=n) * 0.05 + 0.004 for source in SOURCES]
    rows = np.concatenate([*drawn, np.zeros((1, n)), np.full((1, n), 0.5), np.zeros((1, n)), 1e-5 * drawn[0][:1]])
    rows[-2, :2] = [1, -0.5]
    return rows.astype(np.float32)


def fitted(n, compiled, families=tuple(DISTRIBUTIONS), criterion="aic"):
    statistics = summarise(weights(n), compiled)
    return statistics, select(statistics, families, criterion)
