"""Choosing a family for each row: by Akaike's or Schwarz's criterion, or by the Kolmogorov-Smirnov distance."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quant.kernel import dispatch
from quant.methods.distributions.compiled import ks_distances, log_likelihoods
from quant.methods.distributions.fit import FamilyFit, Fit, concatenate
from quant.methods.distributions.fitted import Fitted, Rows
from quant.methods.distributions.sample import binned
from quant.methods.distributions.statistics import RowStatistics
from quant.methods.registry import DISTRIBUTIONS

Criterion = Literal["aic", "bic", "ks"]
MIN_SHAPE_SAMPLE = 64
"""Fewer non-zero weights carry no shape: a third parameter would fit their noise."""
ROWS_AT_ONCE = 256
_LEAST = 1e-300


def select(statistics: RowStatistics, families: Sequence[str], criterion: Criterion) -> Fit:
    """Fit every family to every row and choose the one with the least value of the criterion.

    A family with a shape is no candidate for rows of fewer than 64 non-zero weights, unless there is no other. Rows
    are taken a few hundred at a time: what the fits iterate over then stays in the processor's cache.
    """
    number = len(statistics.count)
    if statistics.compiled or number <= ROWS_AT_ONCE:
        fit = _select(statistics, families, criterion)
    else:
        parts = np.array_split(np.arange(number), -(-number // ROWS_AT_ONCE))
        fit = concatenate([_select(statistics.take(part), families, criterion) for part in parts])
    notes = _notes(statistics, any(DISTRIBUTIONS[name].shaped for name in families))
    return replace(fit, notes=notes, compiled=statistics.compiled)


def _select(statistics: RowStatistics, families: Sequence[str], criterion: Criterion) -> Fit:
    short = statistics.nonzero < MIN_SHAPE_SAMPLE
    shapeless = any(not DISTRIBUTIONS[name].shaped for name in families)
    candidates = tuple(
        _candidate(name, statistics, short if DISTRIBUTIONS[name].shaped and shapeless else np.zeros_like(short))
        for name in families
    )
    if criterion == "ks":
        candidates = tuple(_with_ks(one, statistics, np.isfinite(one.aic)) for one in candidates)
    chosen = np.stack([getattr(candidate, criterion) for candidate in candidates]).argmin(axis=0)
    if criterion != "ks":  # the distance is the dearest figure: of the chosen family alone
        candidates = tuple(_with_ks(one, statistics, chosen == index) for index, one in enumerate(candidates))
    return Fit(candidates, chosen)


def ks_interval(fitted: Fitted, statistics: RowStatistics) -> tuple[Rows, Rows]:
    """Lower and upper bound (R,) of sup |F_n - F| from the bins: they differ by at most the largest bin's mass."""
    _, upper, counts = binned(statistics)
    total = np.maximum(statistics.nonzero, 1)[:, None]
    empirical = counts.cumsum(axis=1) / total
    model = fitted.cdf(np.broadcast_to(upper, empirical.shape))
    gap = np.maximum(np.abs(empirical - model).max(axis=1), fitted.cdf(np.full(len(model), -upper[-1])))
    lower = np.where(statistics.nonzero > 0, gap, 0.0)
    return lower, lower + np.diff(empirical, axis=1, prepend=0).max(axis=1)


def ks_distance(fitted: Fitted, rows: Rows) -> Rows:
    """sup |F_n - F| (R,), exact on the sample: rows (R, n) are the weights themselves."""
    ordered = np.sort(rows, axis=1)
    model = fitted.cdf(ordered)
    rank = np.arange(1, rows.shape[1] + 1) / rows.shape[1]
    above, below = rank - model, model - (rank - 1 / rows.shape[1])
    distance: Rows = np.maximum(above, below).max(axis=1)
    return distance


def _candidate(name: str, statistics: RowStatistics, barred: NDArray[np.bool_]) -> FamilyFit:
    """The family's fit and figures, without the distance; NaN and infinite for the rows that it is barred from."""
    kept = ~barred
    kept[0] |= barred.all()  # so that the family is in every table
    likelihood, aic, bic = np.full((3, len(barred)), np.inf)
    some = statistics.take(kept)
    fitted = DISTRIBUTIONS[name].load()().fit(some)
    likelihood[kept] = _log_likelihood(fitted, some)
    aic[kept] = 2 * fitted.parameters - 2 * likelihood[kept]
    bic[kept] = fitted.parameters * np.log(np.maximum(some.nonzero, 1)) - 2 * likelihood[kept]
    aic[barred], bic[barred] = np.inf, np.inf
    return FamilyFit(fitted.spread(kept), likelihood, np.full_like(aic, np.inf), aic, bic)


def _log_likelihood(fitted: Fitted, statistics: RowStatistics) -> Rows:
    """Of the non-zero weights (R,), in nats: where they are many, taken at the middle of their bins."""
    if statistics.compiled and fitted.family in dispatch.FAMILIES:
        return log_likelihoods(fitted, statistics)
    if statistics.few:
        points, counts = statistics.rows.astype(np.float64), (statistics.rows != 0).astype(np.float64)
    else:
        points, _, counts = binned(statistics)
    log_density = np.log(np.maximum(fitted.pdf(np.broadcast_to(points, counts.shape)), _LEAST))
    likelihood: Rows = np.einsum("rk,rk->r", counts, log_density)
    return likelihood


def _with_ks(candidate: FamilyFit, statistics: RowStatistics, rows: NDArray[np.bool_]) -> FamilyFit:
    """The candidate with its distance, the lower end of the interval, where `rows` say so; infinite elsewhere."""
    distance = candidate.ks.copy()
    if rows.any():
        distance[rows] = _distance(candidate.fitted.take(rows), statistics.take(rows))
    return replace(candidate, ks=distance)


def _distance(fitted: Fitted, statistics: RowStatistics) -> Rows:
    if statistics.compiled and fitted.family in dispatch.FAMILIES:
        return ks_distances(fitted, statistics)
    return ks_interval(fitted, statistics)[0]


def _notes(statistics: RowStatistics, shapes: bool) -> tuple[str, ...]:
    short = statistics.nonzero < MIN_SHAPE_SAMPLE
    notes = []
    constant = int((statistics.minimum == statistics.maximum).sum())
    if constant:
        notes.append(f"{constant} rows are constant: no distribution fits them")
    if shapes and short.any():
        notes.append(
            f"{int(short.sum())} rows have fewer than {MIN_SHAPE_SAMPLE} non-zero weights: no shape was fitted"
        )
    return tuple(notes)
