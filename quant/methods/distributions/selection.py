"""Choice of a family for each row by Akaike's or Schwarz's criterion or the Kolmogorov-Smirnov distance.

With log-likelihood l in nats, p fitted parameters and n non-zero weights,

    AIC = 2 p - 2 l            (Akaike, 1974),
    BIC = p log n - 2 l        (Schwarz, 1978),
    D   = sup |F_n - F|        (Kolmogorov, 1933; Smirnov, 1948),

where F_n is the empirical and F the fitted distribution function. The least value wins. See docs/methods.md,
'Choosing a family'.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quant.kernel import dispatch
from quant.methods.distributions.compiled import ks_distances, log_likelihoods
from quant.methods.distributions.fit import FamilyFit, Fit, concatenate_fits
from quant.methods.distributions.fitted import FittedFamily, Rows
from quant.methods.distributions.sample import signed_bins
from quant.methods.distributions.statistics import RowStatistics
from quant.methods.registry import DISTRIBUTIONS

Criterion = Literal["aic", "bic", "ks"]
MIN_SHAPE_SAMPLE = 64
"""Non-zero weights from which on a shape is fitted: with fewer, a third parameter would fit their noise."""
ROWS_AT_ONCE = 256
"""Rows that are fitted together, so that what the fits iterate over stays in the processor's cache."""
_MIN_DENSITY = 1e-300


def select(statistics: RowStatistics, families: Sequence[str], criterion: Criterion) -> Fit:
    """Return the fit of every family to every row, with the family of least criterion chosen.

    A family with a shape is no candidate for rows of fewer than 64 non-zero weights, unless all families have one.
    """
    number = len(statistics.count)
    if statistics.compiled or number <= ROWS_AT_ONCE:
        fit = _select(statistics, families, criterion)
    else:
        parts = np.array_split(np.arange(number), -(-number // ROWS_AT_ONCE))
        fit = concatenate_fits([_select(statistics.select_rows(part), families, criterion) for part in parts])
    notes = _notes(statistics, any(DISTRIBUTIONS[name].shaped for name in families))
    return replace(fit, notes=notes, compiled=statistics.compiled)


def ks_interval(fitted: FittedFamily, statistics: RowStatistics) -> tuple[Rows, Rows]:
    """Return a lower and an upper bound (R,) of D = sup |F_n - F|, computed from the bins.

    They differ by at most the share of weights in the fullest bin.
    """
    _, upper, counts = signed_bins(statistics)
    total = np.maximum(statistics.nonzero, 1)[:, None]
    empirical = counts.cumsum(axis=1) / total
    model = fitted.cdf(np.broadcast_to(upper, empirical.shape))
    gap = np.maximum(np.abs(empirical - model).max(axis=1), fitted.cdf(np.full(len(model), -upper[-1])))
    lower = np.where(statistics.nonzero > 0, gap, 0.0)
    return lower, lower + np.diff(empirical, axis=1, prepend=0).max(axis=1)


def ks_distance(fitted: FittedFamily, rows: Rows) -> Rows:
    """Return D = sup |F_n - F| (R,) of weights (R, n), exactly."""
    ordered = np.sort(rows, axis=1)
    model = fitted.cdf(ordered)
    rank = np.arange(1, rows.shape[1] + 1) / rows.shape[1]
    above, below = rank - model, model - (rank - 1 / rows.shape[1])
    distance: Rows = np.maximum(above, below).max(axis=1)
    return distance


def _select(statistics: RowStatistics, families: Sequence[str], criterion: Criterion) -> Fit:
    """Return the fit of rows that are fitted together; the distance is measured only where it is needed."""
    short = statistics.nonzero < MIN_SHAPE_SAMPLE
    shapeless = any(not DISTRIBUTIONS[name].shaped for name in families)
    candidates = tuple(
        _fit_family(name, statistics, short if DISTRIBUTIONS[name].shaped and shapeless else np.zeros_like(short))
        for name in families
    )
    if criterion == "ks":
        candidates = tuple(_measure_ks(each, statistics, np.isfinite(each.aic)) for each in candidates)
    chosen = np.stack([getattr(candidate, criterion) for candidate in candidates]).argmin(axis=0)
    if criterion != "ks":  # the distance costs the most time: it is measured for the chosen family only
        candidates = tuple(_measure_ks(each, statistics, chosen == index) for index, each in enumerate(candidates))
    return Fit(candidates, chosen)


def _fit_family(name: str, statistics: RowStatistics, excluded: NDArray[np.bool_]) -> FamilyFit:
    """Return the family's fit and criteria without the distance; NaN and infinity for the excluded rows."""
    included = ~excluded
    included[0] |= excluded.all()  # so that the family is in every table
    likelihood, aic, bic = np.full((3, len(excluded)), np.inf)
    part = statistics.select_rows(included)
    fitted = DISTRIBUTIONS[name].load()().fit(part)
    likelihood[included] = _log_likelihood(fitted, part)
    aic[included] = 2 * fitted.parameters - 2 * likelihood[included]
    bic[included] = fitted.parameters * np.log(np.maximum(part.nonzero, 1)) - 2 * likelihood[included]
    aic[excluded], bic[excluded] = np.inf, np.inf
    return FamilyFit(fitted.scatter(included), likelihood, np.full_like(aic, np.inf), aic, bic)


def _log_likelihood(fitted: FittedFamily, statistics: RowStatistics) -> Rows:
    """Return the log-likelihood (R,) of the non-zero weights in nats; long rows count at the middle of their bins."""
    if statistics.compiled and fitted.family in dispatch.FAMILIES:
        return log_likelihoods(fitted, statistics)
    if statistics.exact_points:
        points, counts = statistics.rows.astype(np.float64), (statistics.rows != 0).astype(np.float64)
    else:
        points, _, counts = signed_bins(statistics)
    log_density = np.log(np.maximum(fitted.pdf(np.broadcast_to(points, counts.shape)), _MIN_DENSITY))
    likelihood: Rows = np.einsum("rk,rk->r", counts, log_density)
    return likelihood


def _measure_ks(candidate: FamilyFit, statistics: RowStatistics, rows: NDArray[np.bool_]) -> FamilyFit:
    """Return the candidate with its distance in the rows of the mask (R,); it stays infinite elsewhere."""
    distance = candidate.ks.copy()
    if rows.any():
        distance[rows] = _ks_from_bins(candidate.fitted.select_rows(rows), statistics.select_rows(rows))
    return replace(candidate, ks=distance)


def _ks_from_bins(fitted: FittedFamily, statistics: RowStatistics) -> Rows:
    """Return the lower bound (R,) of the distance, which the report gives."""
    if statistics.compiled and fitted.family in dispatch.FAMILIES:
        return ks_distances(fitted, statistics)
    return ks_interval(fitted, statistics)[0]


def _notes(statistics: RowStatistics, shapes: bool) -> tuple[str, ...]:
    """Return sentences for the report about rows that no distribution, or no shape, was fitted to."""
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
