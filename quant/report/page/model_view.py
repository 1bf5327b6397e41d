"""The texts of the page on the whole model, and the table of its layers."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from quant.outcome.report import Report
from quant.outcome.report.layer import LayerEntry
from quant.outcome.report.sections import AllocationPoint, Evaluation, OutputEntry
from quant.report.layers_csv import layers_csv
from quant.report.page.layer_view import (
    Cell,
    Column,
    LayerView,
    bound_text,
    facts,
    layer_figures,
    layer_legend,
    missing,
    share_cell,
    shift_after_cell,
    shift_before_cell,
    sqnr_cell,
)
from quant.report.page.texts import EXACT_DB, decibels, difference, figure, percent, size, with_error

MAX_DRAWN = 150
"""The most layers whose charts are drawn: the worst ones. More would make the page large."""

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
    s = report.summary
    yield "Size", percent(s.size_ratio), f"of the float model: {size(s.bytes_before)} → {size(s.bytes_after)}"


def quality_cards(report: Report) -> Iterator[Card]:
    """Yield the figures after latency: output SQNR, accuracy, agreement, the metric of the spec, and the layers."""
    s, evaluation = report.summary, report.evaluation
    yield _output_card(report)
    if s.top1_float is not None and s.top1_quantized is not None:
        yield "Top-1 accuracy", f"{s.top1_quantized:.2f} %", _accuracy_note(s.top1_float, s.top1_quantized, evaluation)
    if evaluation is not None and evaluation.metric is not None:
        yield (
            f"Metric {evaluation.metric.name}",
            figure(evaluation.metric.value),
            "asked for by the spec, evaluation data",
        )
    if s.top1_agreement is not None:
        yield "Agreement", percent(s.top1_agreement), "of the evaluation samples get the float model's class"
    weights = "" if s.weight_sqnr_db is None else f"SQNR of all quantized weights: {decibels(s.weight_sqnr_db)}"
    yield "Layers quantized", f"{s.quantized_layers} of {s.layers}", weights


def provenance(report: Report) -> Iterator[tuple[str, str]]:
    """Yield the origin of the result as (title, text)."""
    p, samples = report.provenance, report.samples
    yield "Model", f"{report.model.name}, {size(report.model.bytes)}, SHA-256 {report.model.sha256}"
    for role, digest, used in (
        ("Calibration data", p.calibration_sha256, samples.calibration),
        ("Evaluation data", p.evaluation_sha256, samples.evaluation),
    ):
        if used is None:
            yield role, "none"
        else:
            yield role, f"first {used.used} of {used.given} samples, in batches of {used.batch}, SHA-256 {digest}"
    libraries = (f"{name} {version}" for name, version in p.libraries.items())
    yield "Software", ", ".join([f"quantd {p.quantd}", *libraries])


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


def table_columns(report: Report) -> list[Column]:
    """Return the columns of the table of layers; a figure that no layer has gets none. One of them is sorted."""
    layers = report.layers
    measured = [layer.output.sqnr_db for layer in layers if layer.output is not None]
    shares = [layer.error_share for layer in layers if layer.error_share is not None]
    highest = max(
        [value for value in (*measured, *(layer.weight.sqnr_db for layer in layers)) if value < EXACT_DB],
        default=EXACT_DB,
    )
    by_output = report.worst_layers_by == "output_sqnr_db"
    columns = [
        Column("Layer", "Press a name for the charts and the alternatives.", numeric=False),
        Column("No.", "Position in the network."),
        Column("Operator", "", lambda layer: Cell(layer.op, layer.op, numeric=False), numeric=False),
        Column("Weight", "Shape of the weight; sorted by the number of weights.", _shape_cell, first="descending"),
        Column("Bits", "Bits of a code of the weight.", lambda layer: Cell(str(layer.bits), str(layer.bits))),
    ]
    if shares:
        columns.append(_share_column(report, max(shares) or 1.0))
    if measured:
        columns.append(_output_column(highest, judged=by_output))
    columns.append(
        Column(
            "Weight SQNR",
            "In dB: energy of the weights over the energy of their errors, measured on all weights.",
            lambda layer: sqnr_cell(layer.weight.sqnr_db, highest, judged=not by_output),
        )
    )
    if measured:
        columns += _shift_columns(report)
    columns.append(
        Column(
            "Size",
            "Codes and scales of the weight in the exported file.",
            lambda layer: Cell(size(layer.bytes_after), str(layer.bytes_after)),
            first="descending",
        )
    )
    return _sorted_column(columns)


def layer_views(report: Report, columns: Sequence[Column], common: Sequence[str]) -> list[LayerView]:
    """Return the layers in the order of the sorted column, the worst first, at most `MAX_DRAWN` of them with charts."""
    index, column = next((index, column) for index, column in enumerate(columns) if column.sorted)
    sign = -1 if column.sorted == "descending" else 1
    views = [
        LayerView(
            number=number,
            entry=layer,
            worst=layer.name in report.worst_layers,
            cells=[column.cell(layer) for column in columns if column.cell is not None],
            facts=list(facts(layer)),
            figures=(),
            legend=(),
            missing=[sentence for sentence in missing(layer) if sentence not in common],
        )
        for number, layer in enumerate(report.layers, 1)
    ]

    def key(view: LayerView) -> tuple[bool, float, int]:
        value = view.cells[index - 2].value
        return (value == "", sign * float(value or 0), view.number)

    ordered = sorted(views, key=key)
    drawn = [
        replace(view, figures=list(layer_figures(view.entry)), legend=layer_legend(view.entry))
        for view in ordered[:MAX_DRAWN]
    ]
    note = f"Charts are drawn for the {MAX_DRAWN} worst layers only; report.json has the data of all."
    return drawn + [replace(view, missing=[*view.missing, note]) for view in ordered[MAX_DRAWN:]]


def network_note(report: Report, common: Sequence[str]) -> str:
    """Return which layers are marked, and the sentences that hold for all layers."""
    worst = "output" if report.worst_layers_by == "output_sqnr_db" else "weight"
    marked = f"The {len(report.worst_layers)} layers with the least {worst} SQNR are marked red in the table."
    return " ".join([marked, *common])


def common_reasons(report: Report) -> list[str]:
    """Return the sentences on missing figures that hold for every layer."""
    reasons = [missing(layer) for layer in report.layers]
    return [sentence for sentence in reasons[0] if all(sentence in others for others in reasons)] if reasons else []


def _output_card(report: Report) -> Card:
    outputs = report.outputs
    if outputs is None:
        return "Output SQNR", "not measured", "without evaluation data"
    if all(output.identical for output in outputs):
        return "Output SQNR", "exact", "all outputs are equal to the float model's"
    worst = report.summary.worst_output
    note = f"{outputs[0].samples} evaluation samples"
    if worst is not None and len(outputs) > 1:
        value = "not finite" if worst.sqnr_db is None else decibels(worst.sqnr_db)
        note += f"; worst of {len(outputs)} outputs: {worst.name}, {value}"
    elif outputs[0].reason and report.summary.output_sqnr_db is None:
        note += f"; {outputs[0].reason}"
    return "Output SQNR", decibels(report.summary.output_sqnr_db), note


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


def _share_column(report: Report, highest: float) -> Column:
    basis = report.error_share_basis
    meaning = (
        "Error at the model's outputs when the weights of this layer alone are quantized, divided by the sum over all "
        f"layers; measured on {basis.samples} calibration samples."
    )
    if basis.weights is not None and basis.activations is not None:
        meaning += (
            f" All weights together cause an error of {percent(basis.weights, 2)} of the outputs' energy, the "
            f"activations {percent(basis.activations, 2)}."
        )
    return Column("Share of error", meaning, lambda layer: share_cell(layer, highest), first="descending")


def _output_column(highest: float, *, judged: bool) -> Column:
    return Column(
        "Output SQNR",
        "In dB: energy of the layer's float output over the energy of the difference, with all layers before it "
        "quantized; on held-out samples of the calibration set.",
        lambda layer: sqnr_cell(None if layer.output is None else layer.output.sqnr_db, highest, judged=judged),
    )


def _shift_columns(report: Report) -> Iterator[Column]:
    """Yield the columns of the mean shifts; the one before bias correction only if a bias was corrected."""
    samples = report.total_mean_shift.samples
    meaning = (
        "Mean over the channels of |E[quantized − float]| at the layer's output, in its unit, with its standard error; "
        f"on {samples} held-out samples of the calibration set."
    )
    if any(layer.output is not None and layer.output.mean_shift_before is not None for layer in report.layers):
        yield Column("Shift before", f"Without bias correction. {meaning}", shift_before_cell, first="descending")
        meaning = "The same in the quantized model, with bias correction."
    yield Column("Shift after", meaning, shift_after_cell, first="descending")


def _sorted_column(columns: Sequence[Column]) -> list[Column]:
    """Return the columns with one marked as sorted: the share of the error, or else the SQNR of outputs or weights."""
    titles = [column.title for column in columns]
    title = next(title for title in ("Share of error", "Output SQNR", "Weight SQNR") if title in titles)
    return [replace(column, sorted=column.first) if column.title == title else column for column in columns]


def _shape_cell(layer: LayerEntry) -> Cell:
    return Cell("×".join(map(str, layer.weight_shape)), str(layer.parameters))
