"""Regressions: limits on how much worse a job's figures may be than those of a baseline job."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from quantd.figures import METRICS, Document, Figure, value_of

NO_BASELINE = "the baseline has no such figure, so there is nothing to compare with"
OTHER_DATA = "the baseline was evaluated on other data, so the figures cannot be compared"
NOT_MEASURED = "it was not measured"


@dataclass(frozen=True)
class RegressionCheck:
    """A metric compared with a baseline: how much worse it may be, and the result.

    Attributes:
        name: the name of the metric.
        unit: the unit of the change and of the limit; empty for a plain fraction.
        better: the direction in which the metric improves.
        value: the figure of the job; None if it was not measured.
        baseline: the figure of the baseline; None if it was not measured.
        change: `value` minus `baseline`; None if one of them is, or if they cannot be compared.
        limit: the largest change for the worse that is accepted.
        passed: True if the metric is worse by at most the limit, or if the baseline has no figure to compare with.
        reason: why there is no change; None if there is one.
    """

    name: str
    unit: str
    better: str
    value: float | None
    baseline: float | None
    change: float | None
    limit: float
    passed: bool
    reason: str | None

    @property
    def sentence(self) -> str:
        """The result in words, such as "output_sqnr_db is 25.7 dB, 0.8 dB worse than the baseline's 26.5 dB"."""
        metric = METRICS[self.name]
        if self.value is None or self.baseline is None or self.change is None:
            return f"{self.name}: {self.reason}"
        value, baseline = _with_unit(self.value, metric.unit), _with_unit(self.baseline, metric.unit)
        if self.change == 0:
            return f"{self.name} is {value}, as in the baseline"
        change = _with_unit(abs(self.change), self.unit)
        accepted = "" if self.passed else f"; accepted: at most {_with_unit(self.limit, self.unit)} worse"
        return f"{self.name} is {value}, {change} {metric.word(self.change)} than the baseline's {baseline}{accepted}"

    def document(self) -> dict[str, Any]:
        """Return the check as `--json` prints it."""
        return asdict(self)


def check_regressions(
    limits: Mapping[str, float], baseline: Document, summary: Document, *, same_evaluation: bool
) -> list[RegressionCheck]:
    """Return the result for every metric with a limit, in the order of `limits`.

    A figure that was not measured fails. A figure passes with the reason if the baseline lacks it, or if it was
    measured on other data there: the next job has a baseline.

    Args:
        limits: the largest accepted change for the worse by the metric's name, in the unit of the metric's difference.
        baseline: the summary of the baseline job.
        summary: the summary of the job that is checked.
        same_evaluation: True if both jobs have the same evaluation data.
    """
    checks = []
    for name, limit in limits.items():
        metric = METRICS[name]
        comparable = same_evaluation or not metric.needs_evaluation
        before, after = value_of(metric, baseline), value_of(metric, summary)
        checks.append(_check(metric, limit, before, after, comparable=comparable))
    return checks


def _check(
    metric: Figure, limit: float, baseline: float | None, value: float | None, *, comparable: bool
) -> RegressionCheck:
    change = value - baseline if value is not None and baseline is not None and comparable else None
    worsening = 0.0 if change is None else -change if metric.better == "higher" else change
    return RegressionCheck(
        name=metric.name,
        unit=metric.difference_unit,
        better=metric.better,
        value=value,
        baseline=baseline,
        change=change,
        limit=limit,
        passed=value is not None and worsening <= limit,
        reason=_missing(baseline, value, comparable=comparable),
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
