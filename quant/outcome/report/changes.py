"""Changes of figures between two jobs, a baseline `a` and another job `b`."""

from typing import Literal

from quant.outcome.better import Better
from quant.outcome.report.base import Figure, ReportModel

Change = Literal["better", "worse", "same"]
"""The direction in which a figure of `b` differs from that of `a`."""


class FigureChange(ReportModel):
    """One figure of both jobs."""

    a: Figure
    """The figure of the baseline; null if it has none."""
    b: Figure
    """The figure of the other job; null if it has none."""
    difference: Figure
    """`b` less `a`; null if one of them is, or if the two cannot be compared."""
    change: Change | None
    """The direction of the difference; null without a difference, and for a figure that has no better direction."""

    @classmethod
    def of(
        cls, a: float | None, b: float | None, better: Better | None = None, *, comparable: bool = True
    ) -> "FigureChange":
        """Return both figures with their difference, which is null without `comparable`."""
        difference = b - a if a is not None and b is not None and comparable else None
        return FigureChange(a=a, b=b, difference=difference, change=_change(difference, better))


class MetricChange(FigureChange):
    """One metric of the summary."""

    name: str
    """Name of the metric."""
    unit: str
    """Unit of `a` and `b`; empty for a fraction."""
    difference_unit: str
    """Unit of the difference."""
    better: Better
    """Direction in which the metric improves."""


class BaselineComparison(ReportModel):
    """The comparison of a job with its baseline."""

    job: str
    """The id of the baseline job."""
    same_model: bool
    """True if both quantized the same bytes."""
    same_evaluation: bool
    """True if both have the same evaluation data, or none. Otherwise figures on outputs have no difference."""
    metrics: tuple[MetricChange, ...]
    """The metrics that at least one of both jobs has: `a` is the baseline, `b` this job."""
    latency_ratio: FigureChange | None = None
    """The latency of the quantized model as a fraction of the float model's; null where it was not measured, and in the
    stored report."""


def _change(difference: float | None, better: Better | None) -> Change | None:
    if difference is None or better is None:
        return None
    if difference == 0:
        return "same"
    return better.word(difference)
