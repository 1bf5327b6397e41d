"""Choosing a family for each row: by Akaike's or Schwarz's criterion, or by the Kolmogorov-Smirnov distance."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from quant.distributions.fitted import Fitted, Rows
from quant.fit import Candidate, Fit
from quant.registry import DISTRIBUTIONS
from quant.statistics import RowStatistics, binned

Criterion = Literal["aic", "bic", "ks"]


def select(statistics: RowStatistics, families: Sequence[str], criterion: Criterion) -> Fit:
    """Fit every family to every row and choose the one with the least value of the criterion."""
    candidates = tuple(_candidate(DISTRIBUTIONS[name].load()().fit(statistics), statistics) for name in families)
    figures = np.stack([getattr(candidate, criterion) for candidate in candidates])
    degenerate = statistics.minimum == statistics.maximum
    notes = (f"{int(degenerate.sum())} rows are constant: no distribution fits them",) if degenerate.any() else ()
    return Fit(candidates, figures.argmin(axis=0), notes)


def _candidate(fitted: Fitted, statistics: RowStatistics) -> Candidate:
    likelihood = fitted.log_likelihood(statistics)
    count = np.maximum(statistics.nonzero, 1)
    return Candidate(
        fitted,
        likelihood,
        ks_distance(fitted, statistics),
        aic=2 * fitted.parameters - 2 * likelihood,
        bic=fitted.parameters * np.log(count) - 2 * likelihood,
    )


def ks_distance(fitted: Fitted, statistics: RowStatistics) -> Rows:
    """sup |F_n - F| (R,) over the edges of the bins: at most one bin's mass below the exact distance."""
    _, counts = binned(statistics)
    empirical = counts.cumsum(axis=1) / np.maximum(statistics.nonzero, 1)[:, None]
    edges = np.concatenate([-statistics.edges[-2::-1], statistics.edges[1:]])
    model = 1 - fitted.sf(np.broadcast_to(edges, empirical.shape))
    return np.where(statistics.nonzero > 0, np.abs(empirical - model).max(axis=1), 0.0)
