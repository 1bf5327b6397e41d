"""Metrics: the figures of a job's summary by which two jobs are compared.

A new metric is one `Metric` in `METRICS`; those of tasks follow from `quant.outcome.task_figures`. The comparison of
two jobs and the limits on regressions read that table.
"""

from collections.abc import Callable
from dataclasses import dataclass

from quant.errors import SpecError
from quant.outcome.better import Better
from quant.outcome.summary import Summary
from quant.outcome.task_figures import TASK_FIGURES, TaskFigure
from quant.outcome.task_values import worst_value


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: its name, that of the summary's field where it is one.
        title: its name for people.
        unit: the unit of the figure, as it is written after a number; empty for a plain fraction.
        description: one line for documentation.
        better: the direction in which the figure improves.
        figure: returns the figure of a summary; None where it was not measured.
        needs_evaluation: True if the figure exists only with evaluation data, and depends on these data.
        difference_unit: the unit of a difference of two figures, where that is another one.
    """

    name: str
    title: str
    unit: str
    description: str
    better: Better
    figure: Callable[[Summary], float | None]
    needs_evaluation: bool = False
    difference_unit: str = ""

    @property
    def unit_of_difference(self) -> str:
        """The unit of a difference of two figures."""
        return self.difference_unit or self.unit


BYTES_AFTER = Metric(
    "bytes_after",
    "Size",
    "bytes",
    "Size of the quantized model with its external data.",
    Better.LOWER,
    lambda summary: summary.bytes_after,
)
SIZE_RATIO = Metric(
    "size_ratio",
    "Size ratio",
    "",
    "Size of the quantized model as a fraction of the float model's.",
    Better.LOWER,
    lambda summary: summary.size_ratio,
)
WEIGHT_SQNR = Metric(
    "weight_sqnr_db",
    "Weight SQNR",
    "dB",
    "SQNR over all quantized weights together.",
    Better.HIGHER,
    lambda summary: summary.weight_sqnr_db,
)
OUTPUT_SQNR = Metric(
    "output_sqnr_db",
    "Output SQNR",
    "dB",
    "SQNR over all outputs together on the evaluation data.",
    Better.HIGHER,
    lambda summary: summary.output_sqnr_db,
    needs_evaluation=True,
)
WORST_OUTPUT_SQNR = Metric(
    "worst_output_sqnr_db",
    "Worst output's SQNR",
    "dB",
    "SQNR of the worst output on the evaluation data.",
    Better.HIGHER,
    lambda summary: summary.least_sqnr_db,
    needs_evaluation=True,
)
OUTPUT_COSINE = Metric(
    "output_cosine",
    "Output cosine",
    "",
    "Cosine similarity of both models' outputs on the evaluation data.",
    Better.HIGHER,
    lambda summary: summary.output_cosine,
    needs_evaluation=True,
)
TOP1_AGREEMENT = Metric(
    "top1_agreement",
    "Top-1 agreement",
    "",
    "Share of evaluation samples for which both models choose the same class.",
    Better.HIGHER,
    lambda summary: summary.top1_agreement,
    needs_evaluation=True,
)
TOP1_QUANTIZED = Metric(
    "top1_quantized",
    "Top-1 accuracy",
    "%",
    "Top-1 accuracy of the quantized model on the evaluation data.",
    Better.HIGHER,
    lambda summary: summary.top1_quantized,
    needs_evaluation=True,
    difference_unit="points",
)
TOP1_DROP = Metric(
    "top1_drop_points",
    "Top-1 loss",
    "points",
    "Loss of top-1 accuracy on the evaluation data, in percentage points.",
    Better.LOWER,
    lambda summary: summary.top1_drop_points,
    needs_evaluation=True,
)


def _task_metric(figure: TaskFigure) -> Metric:
    """Return the metric of a task figure; the worst output counts."""
    return Metric(
        figure.name,
        figure.title,
        figure.unit,
        f"{figure.description}.",
        Better.HIGHER if figure.higher_is_better else Better.LOWER,
        lambda summary: worst_value(summary.task_metrics, figure),
        needs_evaluation=True,
    )


METRICS = (
    BYTES_AFTER,
    SIZE_RATIO,
    WEIGHT_SQNR,
    OUTPUT_SQNR,
    WORST_OUTPUT_SQNR,
    OUTPUT_COSINE,
    TOP1_AGREEMENT,
    TOP1_QUANTIZED,
    TOP1_DROP,
    *map(_task_metric, TASK_FIGURES),
)
"""Every metric, in the order in which a comparison lists them."""


def metric_named(name: str) -> Metric:
    """Return the metric with this name.

    Raises:
        SpecError: no metric has this name.
    """
    for metric in METRICS:
        if metric.name == name:
            return metric
    raise SpecError(f"there is no metric {name!r}; accepted: {', '.join(metric.name for metric in METRICS)}")
