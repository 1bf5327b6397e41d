"""The figures of a job: names, units and directions of its gates and metrics, and their values.

`figures.json` is generated from the registries of the quantizer, so that the client needs no quantizer. A figure that
only a newer service knows is shown without a unit.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """One gate or metric.

    Attributes:
        name: its name in the API.
        title: its name for people.
        unit: its unit, as it is written after a number; empty for a plain fraction.
        difference_unit: the unit of a difference of two figures.
        better: the direction in which it improves; a gate's limit is the least accepted value if that is "higher".
        needs_evaluation: True if it depends on the evaluation data.
        is_share: True if it is written as a percentage.
    """

    name: str
    title: str = ""
    unit: str = ""
    difference_unit: str = ""
    better: Literal["higher", "lower"] = "higher"
    needs_evaluation: bool = False
    is_share: bool = False

    def word(self, change: float) -> str:
        """Return the direction of a change that is not zero: "better" or "worse"."""
        return "better" if (change > 0) == (self.better == "higher") else "worse"

    def written(self, value: float | None) -> str:
        """Return a value of the model's task with its unit, such as "87.5 %"."""
        if value is None:
            return "not measured"
        text = f"{100 * value:.1f} %" if self.is_share else f"{value:.4g} {self.unit}".rstrip()
        return text.replace("-", "−")


def _table(kind: str) -> Mapping[str, Figure]:
    tables = json.loads(resources.files("quantd").joinpath("figures.json").read_text(encoding="utf-8"))
    return {fields["name"]: Figure(**fields) for fields in tables[kind]}


GATES = _table("gates")
METRICS = _table("metrics")


def gate_of(result: Document) -> Figure:
    """Return the gate of a checked gate."""
    return GATES.get(result["name"], Figure(result["name"]))


def gate_failure(result: Document) -> str:
    """Return a sentence part that says what a failed gate requires and what was measured."""
    gate = gate_of(result)
    unit = gate.unit and f" {gate.unit}"
    accepted = f"{'at least' if gate.better == 'higher' else 'at most'} {result['limit']:g}{unit}"
    if result["value"] is None:
        return f"{result['name']} was not measured; accepted: {accepted}"
    missed = f"{abs(result['value'] - result['limit']):.3g}{unit}"
    value = f"{result['value']:.6g}{unit}"
    return f"{result['name']} is {value}, which misses the limit by {missed}; accepted: {accepted}"


def value_of(metric: Figure, summary: Document) -> float | None:
    """Return the value of a metric in a job's summary; None where it was not measured."""
    if metric.name == "worst_output_sqnr_db":
        worst = summary.get("worst_output")
        return _number(worst["sqnr_db"] if worst else summary["output_sqnr_db"])
    if metric.name == "top1_drop_points":
        before, after = summary["top1_float"], summary["top1_quantized"]
        return None if before is None or after is None else float(before - after)
    if metric.name in summary:
        return _number(summary[metric.name])
    of_task = {entry["name"]: entry["value"] for entry in worst_entries(summary)}
    return _number(of_task.get(metric.name))


def worst_entries(summary: Document) -> Iterator[Document]:
    """Yield the entry of the worst output for every figure of the model's task; one without a value is the worst."""
    entries = summary.get("task_metrics", ())
    for name in dict.fromkeys(entry["name"] for entry in entries):
        yield _worst([entry for entry in entries if entry["name"] == name])


def _worst(entries: Sequence[Document]) -> Document:
    for entry in entries:
        if entry["value"] is None:
            return entry
    choose = min if entries[0]["better"] == "higher" else max
    return choose(entries, key=lambda entry: float(entry["value"]))


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
