"""Regressions: limits on how much worse a job's figures may be than those of a baseline job."""

import math
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from quant.errors import SpecError
from quant.outcome.gates import Better
from quant.outcome.metrics import Metric, metric_named
from quant.outcome.summary import Summary

NO_BASELINE = "the baseline has no such figure, so there is nothing to compare with"
OTHER_DATA = "the baseline was evaluated on other data, so the figures cannot be compared"
NOT_MEASURED = "it was not measured"


class RegressionCheck(BaseModel):
    """A metric compared with a baseline: how much worse it may be, and the result."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    name: str
    """The name of the metric."""
    unit: str
    """The unit of the change and of the limit; empty for a plain fraction."""
    better: Better
    """The direction in which the metric improves."""
    value: float | None
    """The figure of the job; null if it was not measured."""
    baseline: float | None
    """The figure of the baseline; null if it was not measured."""
    change: float | None
    """`value` minus `baseline`; null if one of them is, or if they cannot be compared."""
    limit: float
    """The largest change for the worse that is accepted."""
    passed: bool
    """True if the metric is worse by at most the limit, or if the baseline has no figure to compare with."""
    reason: str | None = None
    """Why there is no change; null if there is one."""

    @property
    def sentence(self) -> str:
        """The result in words, such as "output_sqnr_db is 25.7 dB, 0.8 dB worse than the baseline's 26.5 dB"."""
        metric = metric_named(self.name)
        if self.value is None or self.baseline is None or self.change is None:
            return f"{self.name}: {self.reason}"
        value, baseline = _with_unit(self.value, metric.unit), _with_unit(self.baseline, metric.unit)
        if self.change == 0:
            return f"{self.name} is {value}, as in the baseline"
        change = _with_unit(abs(self.change), self.unit)
        word = self.better.word(self.change)
        accepted = "" if self.passed else f"; accepted: at most {_with_unit(self.limit, self.unit)} worse"
        return f"{self.name} is {value}, {change} {word} than the baseline's {baseline}{accepted}"


def check_regressions(
    limits: Mapping[str, float], baseline: Summary, summary: Summary, *, same_evaluation: bool
) -> list[RegressionCheck]:
    """Return the result for every metric with a limit, in the order of `limits`.

    A figure that was not measured fails. A figure passes with the reason if the baseline lacks it, or if it was
    measured on other data there: the next job has a baseline.

    Args:
        limits: the largest accepted change for the worse by the metric's name, in the unit of the metric's difference.
        baseline: the summary of the baseline job.
        summary: the summary of the job that is checked.
        same_evaluation: True if both jobs have the same evaluation data.

    Raises:
        SpecError: there is no metric with such a name, or a limit is negative or not finite.
    """
    checks = []
    for name, limit in limits.items():
        metric = metric_named(name)
        if not (math.isfinite(limit) and limit >= 0):
            raise SpecError(f"the limit {name}={limit} is not accepted; accepted: a number of at least 0")
        comparable = same_evaluation or not metric.needs_evaluation
        checks.append(_check(metric, limit, metric.figure(baseline), metric.figure(summary), comparable=comparable))
    return checks


def _check(
    metric: Metric, limit: float, baseline: float | None, value: float | None, *, comparable: bool
) -> RegressionCheck:
    change = value - baseline if value is not None and baseline is not None and comparable else None
    worsening = 0.0 if change is None else -change if metric.better is Better.HIGHER else change
    reason = _missing(baseline, value, comparable=comparable)
    return RegressionCheck(
        name=metric.name,
        unit=metric.unit_of_difference,
        better=metric.better,
        value=value,
        baseline=baseline,
        change=change,
        limit=limit,
        passed=value is not None and worsening <= limit,
        reason=reason,
    )


def _missing(baseline: float | None, value: float | None, *, comparable: bool) -> str | None:
    """Return why there is no change; None if there is one."""
    if value is None:
        return NOT_MEASURED
    if baseline is None:
        return NO_BASELINE
    return None if comparable else OTHER_DATA


def _with_unit(value: float, unit: str) -> str:
    return f"{value:.6g} {unit}".rstrip()
