"""The values of task figures of one job."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from quant.outcome.task_figures import TaskFigure, task_figure


def _text(description: str) -> Any:
    return Field(description=description)


class TaskValue(BaseModel):
    """A figure of the model's task on one output; its unit is `unit`."""

    model_config = ConfigDict(frozen=True)

    name: Annotated[str, _text("Name of the figure.")]
    metric: Annotated[str, _text("Name of the metric that measures it.")]
    output: Annotated[str, _text("Output that is measured.")]
    reference: Annotated[
        Literal["labels", "float"], _text("What both models, or the quantized one, are compared with: the labels, or "
                                          "the float model's outputs.")
    ]  # fmt: skip
    unit: Annotated[str, _text("Unit of the values; empty for a plain number.")]
    better: Annotated[Literal["higher", "lower"], _text("Direction in which the figure improves.")]
    samples: Annotated[int, _text("Samples that were compared.")]
    value: Annotated[float | None, _text("Figure of the quantized model; null where it cannot be formed.")]
    float_value: Annotated[float | None, _text("Figure of the float model; null without labels.")] = None
    loss: Annotated[
        float | None,
        _text(
            "Loss by quantization, above zero if the quantized model is worse. Without labels, every difference from "
            "the float model counts as a loss; null for a figure without a best value then."
        ),
    ] = None
    low: Annotated[
        float | None, _text("Lower limit of the 95 % interval of `loss` with labels, of `value` without them.")
    ] = None
    high: Annotated[float | None, _text("Upper limit of the interval.")] = None
    interval: Annotated[
        Literal["bootstrap", "wilson", "matched_pairs"] | None, _text("Method of the interval; null without one.")
    ] = None
    reason: Annotated[str | None, _text("Why there is no value; null if there is one.")] = None

    @property
    def figure(self) -> TaskFigure:
        """The figure that was measured."""
        return task_figure(self.name)

    @property
    def text(self) -> str:
        """The value with its unit, such as "87.5 %"; "not measured" without one."""
        return self._written(self.value)

    @property
    def note(self) -> str:
        """The output, the reference, the float model's value, the interval and the samples in words."""
        if self.value is None:
            return f"output {self.output}: {self.reason}"
        against = "against the targets" if self.reference == "labels" else "against the float model"
        parts = [f"output {self.output}, {against}"]
        if self.float_value is not None:
            parts.append(f"float {self._written(self.float_value)}")
        if self.low is not None and self.high is not None:
            about = "of the loss " if self.reference == "labels" else ""
            parts.append(f"95 % interval {about}{self._written(self.low)} to {self._written(self.high)}")
        return "; ".join([*parts, f"{self.samples} samples"])

    def _written(self, value: float | None) -> str:
        if value is None:
            return "not measured"
        if self.figure.is_share:
            return f"{100 * value:.1f} %".replace("-", "−")
        return f"{value:.4g} {self.unit}".rstrip().replace("-", "−")


def worst_entries(values: Sequence[TaskValue]) -> list[TaskValue]:
    """Return the entry of the worst output for every figure that was measured, in the order of the entries."""
    worst: dict[str, TaskValue] = {}
    for entry in values:
        known = worst.get(entry.name)
        if known is None or _is_worse(entry, known):
            worst[entry.name] = entry
    return list(worst.values())


def _is_worse(entry: TaskValue, other: TaskValue) -> bool:
    if entry.value is None or other.value is None:
        return other.value is not None
    return entry.value < other.value if entry.better == "higher" else entry.value > other.value


def worst_value(values: Sequence[TaskValue], figure: TaskFigure) -> float | None:
    """Return the worst value of a figure over the outputs; None if it was not measured or cannot be formed."""
    return _worst([entry.value for entry in values if entry.name == figure.name], smallest=figure.higher_is_better)


def worst_loss(values: Sequence[TaskValue], figure: TaskFigure) -> float | None:
    """Return the largest loss of a figure over the outputs; None if it was not measured or cannot be formed."""
    return _worst([entry.loss for entry in values if entry.name == figure.name], smallest=False)


def _worst(values: Sequence[float | None], *, smallest: bool) -> float | None:
    measured = [value for value in values if value is not None]
    if not measured or len(measured) < len(values):
        return None
    return min(measured) if smallest else max(measured)
