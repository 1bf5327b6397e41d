"""The baseline of a job: an earlier job whose figures it is compared with."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from quant.outcome.better import Better
from quant.outcome.compare import metric_changes
from quant.outcome.metrics import METRICS
from quant.outcome.report.changes import BaselineComparison, FigureChange
from quant.outcome.summary import Summary

NO_FIGURE = "the baseline has no such figure"
OTHER_DATA = "the baseline was evaluated on other data"


class Baseline(BaseModel):
    """The baseline of a job, with all that the job needs of it: the earlier job may be deleted meanwhile."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    job: str
    """The id of the baseline job."""
    inputs: Mapping[str, str]
    """The SHA-256 of its files, by role: model, calibration, evaluation."""
    summary: Summary
    """Its most important figures."""
    latency_ratio: float | None = None
    """The latency of its quantized model as a fraction of the float model's; null where it was not measured."""


def compare_with_baseline(
    baseline: Baseline, inputs: Mapping[str, str], summary: Summary, latency_ratio: float | None
) -> BaselineComparison:
    """Return the comparison of a job with its baseline.

    Args:
        baseline: the baseline.
        inputs: the SHA-256 of the job's files, by role.
        summary: the job's figures.
        latency_ratio: its latency as a fraction of the float model's; None where it was not measured.
    """
    same_evaluation = baseline.inputs.get("evaluation") == inputs.get("evaluation")
    latency = FigureChange.of(baseline.latency_ratio, latency_ratio, Better.LOWER)
    return BaselineComparison(
        job=baseline.job,
        same_model=baseline.inputs.get("model") == inputs["model"],
        same_evaluation=same_evaluation,
        metrics=tuple(metric_changes(baseline.summary, summary, comparable=same_evaluation)),
        latency_ratio=None if latency.a is None and latency.b is None else latency,
    )


def regressions(comparison: BaselineComparison) -> dict[str, float | str | None]:
    """Return how much worse each metric is than that of the baseline, by its name, as `GateFigures` describes it."""
    changes = {change.name: change for change in comparison.metrics}
    return {metric.name: _regression(changes.get(metric.name), metric.better) for metric in METRICS}


def _regression(change: FigureChange | None, better: Better) -> float | str | None:
    if change is None or change.a is None:
        return NO_FIGURE
    if change.b is None:
        return None
    if change.difference is None:
        return OTHER_DATA
    return -change.difference if better is Better.HIGHER else change.difference
