"""Quality gates: limits on a job's figures that decide its verdict.

A new gate is one `Gate` in `GATES`; the gates on the figures of tasks follow from `quant.outcome.task_figures`. The
spec's `gates` section, the check, the verdict, the JUnit file and the report read that table.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from quant.outcome.better import Better
from quant.outcome.metrics import METRICS, Metric
from quant.outcome.summary import OutputFigures, SizeFigures
from quant.outcome.task_figures import TASK_FIGURES, TaskFigure
from quant.outcome.task_values import worst_loss, worst_value

Verdict = Literal["pass", "fail"] | None
"""None where no gate was judged."""

NO_BASELINE = "the job has no baseline"


@dataclass(frozen=True)
class GateFigures:
    """The figures that gates are checked against.

    Attributes:
        sizes: sizes of both models.
        outputs: the comparison of both models' outputs.
        layer_sqnr_db: the weight SQNR of each quantized layer, in dB.
        latency_ratio: the latency of the quantized model divided by that of the float model; None if not measured.
        regressions: how much worse each metric is than that of the baseline job, by its name (below zero if it is
            better), or a text with the reason why it cannot be compared; None without a baseline.
    """

    sizes: SizeFigures
    outputs: OutputFigures
    layer_sqnr_db: Sequence[float]
    latency_ratio: float | None = None
    regressions: Mapping[str, float | str | None] | None = None

    def regression(self, metric: Metric) -> float | str | None:
        """Return how much worse a metric is than that of the baseline, or why it cannot be compared."""
        return NO_BASELINE if self.regressions is None else self.regressions[metric.name]


@dataclass(frozen=True)
class Gate:
    """One gate.

    Attributes:
        name: the key in the spec's `gates` section.
        unit: the unit of the limit and of the figure, as it is written after a number; empty for a plain fraction.
        description: one line for documentation and for the spec's JSON Schema.
        better: HIGHER if the limit is the least accepted value, LOWER if it is the greatest.
        figure: returns the figure that is compared with the limit; None where it was not measured, and a text where the
            gate cannot be judged: the reason.
        bounds: the constraints on the limit, as keyword arguments of `pydantic.Field` (`ge`, `gt`, `le`, `lt`).
        needs_evaluation: True if the figure exists only with evaluation data.
        judges_quality: True if the gate judges the quality of the model; False if it judges its size or its speed, or
            compares it with another job.
        is_timed: True if the figure is a duration, which differs from run to run. The stored report leaves such a gate
            out, and a search for the smallest model does not check it.
        of_task: True if the figure is one of the model's task, see `quant.outcome.task_figures`.
        of_baseline: True if the figure compares the job with its baseline.
    """

    name: str
    unit: str
    description: str
    better: Better
    figure: Callable[[GateFigures], float | str | None]
    bounds: Mapping[str, Any] = field(default_factory=dict)
    needs_evaluation: bool = False
    judges_quality: bool = True
    is_timed: bool = False
    of_task: bool = False
    of_baseline: bool = False

    def passes(self, value: float | None, limit: float) -> bool:
        """Return True if `value` keeps the limit; a value that was not measured does not."""
        if value is None:
            return False
        return value >= limit if self.better is Better.HIGHER else value <= limit


MIN_OUTPUT_SQNR = Gate(
    "min_output_sqnr_db",
    "dB",
    "The least SQNR that each output must have on the evaluation data. Outputs of integers over 16 bits, of booleans "
    "or of strings have no SQNR and do not count, nor do those that cannot be compared position by position. Where no "
    "output has an SQNR, the gate fails.",
    Better.HIGHER,
    lambda figures: figures.outputs.least_sqnr_db,
    needs_evaluation=True,
)
MAX_TOP1_DROP = Gate(
    "max_top1_drop_points",
    "points",
    "The largest loss of top-1 accuracy on the evaluation data, in percentage points.",
    Better.LOWER,
    lambda figures: figures.outputs.top1_drop_points,
    bounds={"ge": 0},
    needs_evaluation=True,
)
MIN_TOP1_AGREEMENT = Gate(
    "min_top1_agreement",
    "",
    "The least share of evaluation samples for which both models choose the same class, as a fraction.",
    Better.HIGHER,
    lambda figures: figures.outputs.top1_agreement,
    bounds={"ge": 0, "le": 1},
    needs_evaluation=True,
)
MAX_SIZE_RATIO = Gate(
    "max_size_ratio",
    "",
    "The largest size of the quantized model, as a fraction of the float model's size.",
    Better.LOWER,
    lambda figures: figures.sizes.size_ratio,
    bounds={"gt": 0},
    judges_quality=False,
)
MIN_LAYER_SQNR = Gate(
    "min_layer_sqnr_db",
    "dB",
    "The least weight SQNR of any quantized layer.",
    Better.HIGHER,
    lambda figures: min(figures.layer_sqnr_db, default=None),
)
MAX_LATENCY_RATIO = Gate(
    "max_latency_ratio",
    "",
    "The largest latency of the quantized model, as a fraction of the float model's: medians of an inference of one "
    "calibration batch with one thread. The verdict then depends on measured time.",
    Better.LOWER,
    lambda figures: figures.latency_ratio,
    bounds={"gt": 0},
    judges_quality=False,
    is_timed=True,
)


def _task_gates(figure: TaskFigure) -> tuple[Gate, Gate]:
    """Return the gates on the value of a task figure and on its loss; the worst output counts."""
    compared = {
        "either": "compared with the targets, or with the float model where there are none",
        "labels": "compared with the targets",
        "float": "compared with the float model",
    }[figure.reference]
    limited = "least" if figure.higher_is_better else "largest"
    value = Gate(
        figure.gate_name,
        figure.unit,
        f"The {limited} accepted {figure.title} on the evaluation data, {compared}. {figure.description}.",
        Better.HIGHER if figure.higher_is_better else Better.LOWER,
        lambda figures: worst_value(figures.outputs.task_metrics, figure),
        bounds=figure.bounds,
        needs_evaluation=True,
        of_task=True,
    )
    loss = Gate(
        figure.loss_gate_name,
        figure.unit,
        f"The largest accepted {'drop' if figure.higher_is_better else 'rise'} of {figure.title} by quantization; "
        "without targets, every difference from the float model counts.",
        Better.LOWER,
        lambda figures: worst_loss(figures.outputs.task_metrics, figure),
        bounds={"ge": 0},
        needs_evaluation=True,
        of_task=True,
    )
    return value, loss


def _regression_gate(metric: Metric) -> Gate:
    """Return the gate on how much worse a metric is than that of the baseline job."""
    return Gate(
        f"max_{metric.name}_regression",
        metric.unit_of_difference,
        f"The largest accepted {'drop' if metric.better is Better.HIGHER else 'rise'} from the baseline job of: "
        f"{metric.description} It is not judged where the baseline has other evaluation data or no such figure.",
        Better.LOWER,
        lambda figures: figures.regression(metric),
        bounds={"ge": 0},
        needs_evaluation=metric.needs_evaluation,
        judges_quality=False,
        of_baseline=True,
    )


GATES = (
    MIN_OUTPUT_SQNR,
    MAX_TOP1_DROP,
    MIN_TOP1_AGREEMENT,
    MAX_SIZE_RATIO,
    MIN_LAYER_SQNR,
    MAX_LATENCY_RATIO,
    *(gate for figure in TASK_FIGURES for gate in _task_gates(figure)),
    *map(_regression_gate, METRICS),
)


class GateLimits(BaseModel):
    """The limits that a spec sets; `gates_section` adds one optional field for each gate."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def limit_of(self, gate: Gate) -> float | None:
        """Return the limit of a gate; None where the spec sets none."""
        limit: float | None = getattr(self, gate.name)
        return limit

    def requested(self) -> list[tuple[Gate, float]]:
        """Return the gates that have a limit with their limits, in the order of `GATES`."""
        limits = ((gate, self.limit_of(gate)) for gate in GATES)
        return [(gate, limit) for gate, limit in limits if limit is not None]


def gates_section() -> type[GateLimits]:
    """Return the pydantic model of the spec's `gates` section: one optional number for each gate in `GATES`."""
    fields: dict[str, Any] = {
        gate.name: (float | None, Field(default=None, description=gate.description, **gate.bounds)) for gate in GATES
    }
    document = (
        "Limits that the quantized model must keep; points are percentage points, agreement and ratio are fractions."
    )
    return create_model("Gates", __base__=GateLimits, __doc__=document, **fields)


class GateResult(BaseModel):
    """A checked gate: its limit, the measured value (null where it was not measured), and the result."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    name: str
    """The gate's key in the spec's `gates` section."""
    limit: float
    """The limit that the spec sets."""
    value: float | None
    """The measured value; null if it was not measured."""
    passed: bool
    """True if the value keeps the limit, or if the gate was not judged."""
    reason: str | None = None
    """The reason why the gate was not judged; null if it was."""

    @property
    def gate(self) -> Gate:
        """The gate that was checked."""
        return next(gate for gate in GATES if gate.name == self.name)

    @property
    def margin(self) -> float | None:
        """The distance from the limit, above zero if the limit is kept; None if the value was not measured."""
        if self.value is None:
            return None
        return self.value - self.limit if self.gate.better is Better.HIGHER else self.limit - self.value

    @property
    def failure(self) -> str:
        """A sentence part that says what was required and what was measured, for a gate that failed."""
        gate = self.gate
        unit = gate.unit and f" {gate.unit}"
        accepted = f"{gate.better.limit_words} {self.limit:g}{unit}"
        if self.value is None:
            return f"{self.name} was not measured; accepted: {accepted}"
        missed = f"{abs(self.value - self.limit):.3g}{unit}"
        return f"{self.name} is {self.value:.6g}{unit}, which misses the limit by {missed}; accepted: {accepted}"


def check_gates(
    limits: GateLimits, figures: GateFigures, *, timed: bool = True, of_baseline: bool = True
) -> list[GateResult]:
    """Return the result of every gate that has a limit; a figure that was not measured fails its gate.

    Without `timed`, gates on durations are left out, and without `of_baseline` those that compare with a baseline.
    """
    requested = [
        (gate, limit)
        for gate, limit in limits.requested()
        if (timed or not gate.is_timed) and (of_baseline or not gate.of_baseline)
    ]
    return [_check(gate, limit, gate.figure(figures)) for gate, limit in requested]


def _check(gate: Gate, limit: float, value: float | str | None) -> GateResult:
    if isinstance(value, str):
        return GateResult(name=gate.name, limit=limit, value=None, passed=True, reason=value)
    return GateResult(name=gate.name, limit=limit, value=value, passed=gate.passes(value, limit))


def verdict(results: Sequence[GateResult]) -> Verdict:
    """Return "pass" if all judged gates passed, "fail" if one did not, None without a judged gate."""
    judged = [result for result in results if result.reason is None]
    if not judged:
        return None
    return "pass" if all(result.passed for result in judged) else "fail"
