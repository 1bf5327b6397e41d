"""The picture of a layer: histogram and fitted densities of its weights, clip bounds, levels, errors, quantiles."""

from typing import get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from quant.methods.clipping.base import ClipRuleBase
from quant.methods.registry import ClipRule
from quant.outcome.report.picture import (
    MAX_BINS,
    MAX_QUANTILES,
    ChosenFor,
    ErrorCurve,
    Histogram,
    Picture,
    Quantiles,
)
from quant.report.error_curve import FACTORS, Curves
from quant.report.pooled_rows import PARTS, PooledRows
from quant.report.weight_study import WeightStudy
from quant.spec import Spec
from quant.weights.clip_choice import UNCLIPPED_NOTE
from quant.weights.layers import QuantizedLayer

RULE_ROWS = 8
"""Rows for which the bounds of all clip rules are derived. They take more time than the rest of a picture."""
PROBABILITIES = ndtr(np.linspace(-3.1, 3.1, MAX_QUANTILES))
"""Probabilities of the quantiles: evenly spaced standard deviations of a normal distribution, 0.1 % to 99.9 %."""

Floats = NDArray[np.float64]


def draw_picture(layer: QuantizedLayer, study: WeightStudy, spec: Spec) -> Picture:
    """Return the picture of a layer's weights.

    Args:
        layer: the quantized layer.
        study: the study of its weights.
        spec: the whole spec, which says what clip rule was asked for.
    """
    pooled, uniform = study.pooled, layer.spec.grid.uniform
    points = _centres(pooled) * pooled.bound[:, None]
    return Picture(
        rows=len(pooled.bound),
        weights=pooled.values.size,
        histogram=_histogram(pooled),
        densities={
            candidate.fitted.family: _mean_density(pooled, candidate.fitted.pdf(points))
            for candidate in pooled.candidates
        },
        chosen_density=_mean_density(pooled, pooled.fit.pdf(points)),
        clip_bounds=clip_bounds(pooled, layer.quantized.bits, mid_rise=layer.spec.grid.mid_rise),
        levels=None if uniform else _rounded(study.levels.mean(axis=0)),
        level_step=_round(study.levels[0, 1] - study.levels[0, 0]) if uniform else None,
        curve=_curve(study.curves, chosen_for(layer, spec)),
        quantiles=_quantiles(pooled),
    )


def clip_bounds(pooled: PooledRows, bits: int, *, mid_rise: bool) -> dict[str, float | None]:
    """Return the mean over some rows of the bound of every clip rule divided by the chosen bound, by the rule's name.

    The rule `auto`, which chooses among others, is left out.
    """
    count = min(RULE_ROWS, len(pooled.bound))
    rows = pooled.select_rows(np.arange(count) * len(pooled.bound) // count)
    rules: dict[str, ClipRuleBase] = {rule.model_fields["name"].default: rule() for rule in get_args(ClipRule)}
    bounds = {
        name: rule.bound(rows.statistics, rows.fit, bits, mid_rise=mid_rise)
        for name, rule in rules.items()
        if rule.rival is None
    }
    return {name: _mean(bound / rows.bound) for name, bound in bounds.items()}


def chosen_for(layer: QuantizedLayer, spec: Spec) -> ChosenFor:
    """Return the error that the chosen bound of a layer is least for."""
    applied, requested = layer.spec.clipping, spec.weights_for(layer.layer.name, layer.layer.op)
    if layer.by_output_error:
        return "output_error"
    if applied.name in ("auto", "mse", "mae", "empirical_mse", "empirical_mae"):
        return "weight_error"
    replaced = requested is not None and requested.clipping.rival == applied
    return "model_output" if replaced and UNCLIPPED_NOTE not in layer.notes else "rule"


def _round(value: float) -> float:
    """Return a value with 4 significant digits."""
    return float(f"{value:.4g}")


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(map(_round, values.tolist()))


def _mean(ratios: Floats) -> float | None:
    finite = ratios[np.isfinite(ratios)]
    return _round(float(finite.mean())) if finite.size else None


def _histogram(pooled: PooledRows) -> Histogram:
    counts = pooled.counts.sum(axis=0).astype(np.int64)
    outer = (len(counts) - PARTS * MAX_BINS) // 2
    inner = counts[outer : outer + PARTS * MAX_BINS].reshape(MAX_BINS, PARTS).sum(axis=1)
    return Histogram(
        low=-pooled.reach,
        width=2 * pooled.reach / MAX_BINS,
        counts=tuple(inner.tolist()),
        below=int(counts[:outer].sum()),
        above=int(counts[outer + PARTS * MAX_BINS :].sum()),
        zeros=int(pooled.zeros.sum()),
    )


def _centres(pooled: PooledRows) -> Floats:
    """Return the centres of the bins of the histogram."""
    centres: Floats = pooled.reach * ((2 * np.arange(MAX_BINS) + 1) / MAX_BINS - 1)
    return centres


def _mean_density(pooled: PooledRows, densities: Floats) -> tuple[float, ...] | None:
    """Return the mean over the rows of densities (K, B) in the weight's unit; None if no row was fitted."""
    relative = densities * pooled.bound[:, None]
    fitted = relative[np.isfinite(relative).all(axis=1)]
    return _rounded(fitted.mean(axis=0)) if len(fitted) else None


def _curve(curves: Curves, least: ChosenFor) -> ErrorCurve:
    return ErrorCurve(
        bound=_rounded(FACTORS),
        expected_mse=_rounded(curves.expected_mse),
        measured_mse=_rounded(curves.measured_mse),
        expected_mae=_rounded(curves.expected_mae),
        measured_mae=_rounded(curves.measured_mae),
        chosen_for=least,
    )


def _quantiles(pooled: PooledRows) -> Quantiles:
    """Return the quantiles of weights and fits, interpolated within the fine bins."""
    expected, observed = (
        np.interp(PROBABILITIES, np.concatenate([[0.0], np.cumsum(masses / masses.sum())]), pooled.edges)
        for masses in (pooled.probabilities.sum(axis=0), pooled.counts.sum(axis=0))
    )
    return Quantiles(probability=_rounded(PROBABILITIES), expected=_rounded(expected), observed=_rounded(observed))
