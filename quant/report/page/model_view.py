"""The texts of the page on the whole model."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from quant.outcome.report import Report
from quant.outcome.report.sections import AllocationPoint, Evaluation, OutputEntry
from quant.outcome.task_values import worst_entries
from quant.report.layers_csv import layers_csv
from quant.report.page.layer_view import bound_text
from quant.report.page.texts import decibels, difference, figure, percent, size, with_error

NOT_FINITE = "not finite"
"""The SQNR of an output at which only the quantized model's values are NaN or infinite."""

Card = tuple[str, str, str]
"""Title, value and note of a figure."""


@dataclass(frozen=True)
class OutputTable:
    """The table of outputs: the headings of its figures, and a row for each output; empty columns are left out."""

    headings: Sequence[str]
    rows: Sequence["OutputRow"]


@dataclass(frozen=True)
class OutputRow:
    """One output: the texts of its figures in the order of the headings, and its notes."""

    name: str
    dtype: str
    figures: Sequence[str]
    note: str


@dataclass(frozen=True)
class CandidateView:
    """One compared candidate: its SQNR, a bar of length 0 to 1, and the distance to the chosen one."""

    name: str
    sqnr: str
    bar: float
    chosen: bool
    behind: str


def subtitle(report: Report) -> str:
    """Return the form of the quantized model in words."""
    weights, activations = report.spec["weights"], report.spec["activations"]
    preset = f"preset {report.spec['preset']}, " if report.spec.get("preset") else ""
    inputs = f"{activations['bits']}-bit activations" if activations else "float activations"
    return f"{preset}{weights['bits']}-bit weights, {inputs}"


def size_cards(report: Report) -> Iterator[Card]:
    """Yield the figures before latency: the size."""
    summary = report.summary
    note = f"of the float model: {size(summary.bytes_before)} → {size(summary.bytes_after)}"
    yield "Size", percent(summary.size_ratio), note


def quality_cards(report: Report) -> Iterator[Card]:
    """Yield the figures after latency: output SQNR, accuracy, agreement, the figures of the task, and the layers."""
    summary, evaluation = report.summary, report.evaluation
    yield _output_card(report)
    if summary.top1_float is not None and summary.top1_quantized is not None:
        note = _accuracy_note(summary.top1_float, summary.top1_quantized, evaluation)
        yield "Top-1 accuracy", f"{summary.top1_quantized:.2f} %", note
    if evaluation is not None and evaluation.metric is not None:
        metric = evaluation.metric
        yield f"Metric {metric.name}", figure(metric.value), "asked for by the spec, evaluation data"
    for entry in worst_entries(summary.task_metrics):
        yield entry.figure.title, entry.text, entry.note
    if summary.top1_agreement is not None:
        yield "Agreement", percent(summary.top1_agreement), "of the evaluation samples get the float model's class"
    weights = (
        "" if summary.weight_sqnr_db is None else f"SQNR of all quantized weights: {decibels(summary.weight_sqnr_db)}"
    )
    yield "Layers quantized", f"{summary.quantized_layers} of {summary.layers}", weights


def provenance(report: Report) -> Iterator[tuple[str, str]]:
    """Yield the origin of the result as (title, text)."""
    origin, samples = report.provenance, report.samples
    yield "Model", f"{report.model.name}, {size(report.model.bytes)}, SHA-256 {report.model.sha256}"
    for role, digest, used in (
        ("Calibration data", origin.calibration_sha256, samples.calibration),
        ("Evaluation data", origin.evaluation_sha256, samples.evaluation),
    ):
        if used is None:
            yield role, "none"
        else:
            yield role, f"first {used.used} of {used.given} samples, in batches of {used.batch}, SHA-256 {digest}"
    if samples.synthetic is not None:
        count, reason = samples.synthetic.samples, samples.synthetic.reason
        purpose = "to round weights and correct biases; no figure of this report is measured on them"
        yield "Synthetic inputs", f"{count}, {purpose}" if reason is None else f"none: {reason}"
    libraries = (f"{name} {version}" for name, version in origin.libraries.items())
    yield "Software", ", ".join([f"quantd {origin.quantd}", *libraries])


def spec_text(report: Report) -> str:
    """Return the resolved spec as JSON, which is also YAML."""
    return json.dumps(report.spec, indent=1)


def output_table(report: Report) -> OutputTable:
    """Return the outputs, the worst first; outputs without an SQNR come last."""
    ordered = sorted(
        report.outputs or (), key=lambda output: (output.identical, output.sqnr_db is None, output.sqnr_db or 0.0)
    )
    texts = [_output_figures(output) for output in ordered]
    headings = [heading for heading in (texts[0] if texts else ()) if any(row[heading] for row in texts)]
    rows = [
        OutputRow(output.name, output.dtype, [row[heading] for heading in headings], _output_note(output))
        for output, row in zip(ordered, texts, strict=True)
    ]
    return OutputTable(headings, rows)


def candidates(report: Report) -> list[CandidateView]:
    """Return the compared candidates, the best first."""
    if report.compared is None:
        return []
    compared, chosen = report.compared.output_sqnr_db, report.compared.chosen
    finite = {name: -math.inf if value is None else value for name, value in compared.items()}
    ordered = sorted(compared, key=lambda name: (name != chosen, -finite[name]))
    top = max(finite.values(), default=0.0)
    return [_candidate(name, compared[name], compared.get(chosen), top, chosen=name == chosen) for name in ordered]


def choice_note(report: Report) -> str:
    """Return why the chosen candidate won."""
    views = candidates(report)
    if not views:
        return ""
    text = "The output SQNR of every candidate, on held-out samples of the calibration set. "
    second = next((view for view in views[1:] if view.behind), None)
    if second is None:
        return text + f"Chosen: {views[0].name}."
    return f"{text}Chosen: {views[0].name}, {views[0].sqnr}. The next, {second.name}, is {second.behind}."


def allocation_text(name: str, point: AllocationPoint) -> str:
    """Return one allocation of bits in words, after its name."""
    return (
        f"{name}: {point.mean_bits:.2f} bits per weight, {percent(point.size_ratio)} of the float size, "
        f"{decibels(point.expected_sqnr_db)}"
    )


def total_shift(report: Report) -> str:
    """Return the sum of the mean shifts in words."""
    total = report.total_mean_shift
    if total.after is None:
        return f"Sum of the mean shifts of all layers' outputs: not measured, because {total.reason}."
    before = (
        ""
        if total.before is None
        else f"{with_error(total.before, total.before_standard_error)} without bias correction, "
    )
    after = with_error(total.after, total.after_standard_error)
    note = f" ({total.reason})" if total.reason else ""
    return (
        f"Sum of the mean shifts of all layers' outputs: {before}{after} in the quantized model, each with its "
        f"standard error, on the same {total.samples} held-out samples{note}."
    )


def bounds(report: Report) -> list[tuple[str, str, str]]:
    """Return the guaranteed bounds of each output: its name, the bound on an element, the bound on the 2-norm."""
    return [
        (name, bound_text(bound.interval), bound_text(bound.operator_norm))
        for name, bound in report.error_bound.outputs.items()
    ]


def csv_data(report: Report) -> Mapping[str, str]:
    """Return the CSV file that the page offers: its name and its text, equal to layers.csv."""
    return {"name": "layers.csv", "csv": layers_csv(report).decode()}


def _output_card(report: Report) -> Card:
    outputs, worst = report.outputs, report.summary.worst_output
    if outputs is None:
        return "Output SQNR", "not measured", "without evaluation data"
    if all(output.identical for output in outputs):
        return "Output SQNR", "exact", "all outputs are equal to the float model's"
    note = f"{outputs[0].samples} evaluation samples"
    broken = worst is not None and worst.sqnr_db is None
    if worst is not None and len(outputs) > 1:
        note += f"; worst of {len(outputs)} outputs: {worst.name}, {NOT_FINITE if broken else decibels(worst.sqnr_db)}"
    elif outputs[0].reason:
        note += f"; {outputs[0].reason}"
    value = NOT_FINITE if broken and len(outputs) == 1 else decibels(report.summary.output_sqnr_db)
    return "Output SQNR", value, note


def _accuracy_note(before: float, after: float, evaluation: Evaluation | None) -> str:
    """Return the accuracy of the float model, the difference with its interval, and top-5."""
    note = f"float {before:.2f} %, {difference(after - before, 2)} points"
    if evaluation is not None and evaluation.top1_difference is not None:
        interval = evaluation.top1_difference
        note += (
            f" ({percent(interval.confidence, 0)} interval {difference(interval.low, 2)} to "
            f"{difference(interval.high, 2)}; {interval.samples} samples)"
        )
    if evaluation is not None and evaluation.top5_float is not None and evaluation.top5_quantized is not None:
        note += f"; top-5 {evaluation.top5_quantized:.2f} %, float {evaluation.top5_float:.2f} %"
    return note


def _output_figures(output: OutputEntry) -> dict[str, str]:
    """Return the texts of an output's figures by their heading; empty where there is none."""
    sqnr = "exact" if output.identical else "none" if output.sqnr_db is None else decibels(output.sqnr_db)
    return {
        "SQNR": sqnr,
        "Cosine": "" if output.cosine is None else f"{output.cosine:.5f}",
        "Equal values": "" if output.agreement is None else percent(output.agreement, 2),
        "Mean error": "" if output.mean_error is None else figure(output.mean_error),
        "Largest error": "" if output.max_error is None else figure(output.max_error),
        "Finite": "" if output.finite_fraction is None else percent(output.finite_fraction),
    }


def _output_note(output: OutputEntry) -> str:
    notes = [output.reason] if output.reason else []
    if output.nonfinite_agreement is not None:
        notes.append(f"{percent(output.nonfinite_agreement)} of the other values are the same")
    return "; ".join(notes)


def _candidate(name: str, value: float | None, best: float | None, top: float, *, chosen: bool) -> CandidateView:
    behind = "" if chosen or value is None or best is None else f"{best - value:.1f} dB behind"
    return CandidateView(name, decibels(value), max(value or 0.0, 0.0) / top if top > 0 else 0.0, chosen, behind)
