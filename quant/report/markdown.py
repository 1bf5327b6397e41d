"""The report in Markdown, short enough for the comment of a pull request."""

from collections.abc import Iterable, Iterator, Sequence

from quant.outcome.better import Better
from quant.outcome.report import Report
from quant.outcome.report.layer import LayerEntry
from quant.outcome.report.sections import GateEntry
from quant.outcome.task_values import worst_entries
from quant.report.markdown_text import code, fenced, plain
from quant.report.notable_layers import notable_layers
from quant.report.page.texts import decibels, figure, percent, size

MAX_LINES = 60
"""The most lines of the report."""
MAX_CANDIDATES = 6
"""The most compared candidates that are listed, the best first."""
MAX_GATES = 6
"""The most gates that are listed, the failed ones first."""
MAX_TASK_FIGURES = 4
"""The most figures of the model's task that are listed."""
MAX_SPEC_LINES = 10
"""The most lines of the advised change to the spec; a longer one stands in report.html only."""


def report_markdown(report: Report) -> bytes:
    """Return the report in Markdown, in UTF-8: verdict, gates, diagnosis, summary, worst layers and candidates.

    Names of the model are code spans, so that they can neither format the comment nor mention anybody.
    """
    sections = (_title(report), _gates(report), _diagnosis(report), _summary(report), _layers(report),
                _choice(report), _provenance(report))  # fmt: skip
    text = "\n\n".join("\n".join(section) for section in map(list, sections) if section) + "\n"
    assert text.count("\n") <= MAX_LINES, "every section has a fixed number of lines at most"
    return text.encode()


def _title(report: Report) -> Iterator[str]:
    failed, gates = sum(not gate.passed for gate in report.gates), len(report.gates)
    if gates > 1:
        verdict = f"{failed} of {gates} gates failed" if failed else f"all {gates} gates passed"
    else:
        verdict = "no gates" if not gates else "its gate failed" if failed else "its gate passed"
    yield f"### {code(report.model.name)}: {verdict}"


def _gates(report: Report) -> Iterator[str]:
    if report.gates:
        yield from _table("Gate", "Limit >", "Value >", "Margin >", "Result")
    # a spec can set more gates than a comment should show; the failed ones say the most
    for gate in sorted(report.gates, key=lambda gate: gate.passed)[:MAX_GATES]:
        limit = f"{Better(gate.better).limit_words} {_with_unit(gate.limit, gate)}"
        result = f"not judged: {gate.reason}" if gate.reason else "pass" if gate.passed else "**fail**"
        yield _row(code(gate.name), limit, _with_unit(gate.value, gate), _with_unit(gate.margin, gate, "+"), result)
    if len(report.gates) > MAX_GATES:
        yield ""
        yield f"{len(report.gates) - MAX_GATES} more gates, see report.html."


def _diagnosis(report: Report) -> Iterator[str]:
    yield plain(report.diagnosis.sentence, _names(report))
    lines = (report.diagnosis.spec or "").rstrip("\n").split("\n")
    if report.diagnosis.spec and len(lines) <= MAX_SPEC_LINES:
        yield ""
        yield from fenced(lines, "yaml")


def _summary(report: Report) -> Iterator[str]:
    summary = report.summary
    yield from _table("Figure", "Value >")
    yield _row("Size", f"{size(summary.bytes_before)} → {size(summary.bytes_after)} ({percent(summary.size_ratio)})")
    yield _row("Quantized layers", f"{summary.quantized_layers} of {summary.layers}")
    yield _row("Weight SQNR", decibels(summary.weight_sqnr_db))
    if report.outputs is None:
        return
    yield _row("Output SQNR", decibels(summary.output_sqnr_db))
    if summary.worst_output is not None and len(report.outputs) > 1:
        yield _row(f"Worst output, {code(summary.worst_output.name)}", decibels(summary.worst_output.sqnr_db))
    if summary.top1_agreement is not None:
        yield _row("Top-1 agreement", percent(summary.top1_agreement))
    if summary.top1_float is not None and summary.top1_quantized is not None:
        yield _row("Top-1", f"{summary.top1_float:.2f} % → {summary.top1_quantized:.2f} %{_interval(report)}")
    for entry in worst_entries(summary.task_metrics)[:MAX_TASK_FIGURES]:
        yield _row(entry.figure.title, f"{entry.text} ({plain(entry.note, _names(report))})")
    metric = report.evaluation and report.evaluation.metric
    if metric:
        yield _row(code(metric.name), figure(metric.value))


def _interval(report: Report) -> str:
    """Return the confidence interval of the difference of the accuracies, as it follows the accuracies."""
    difference = report.evaluation and report.evaluation.top1_difference
    if not difference:
        return ""
    limits = f"{difference.low:+.2f} to {difference.high:+.2f}".replace("-", "−")
    return f" ({100 * difference.confidence:.0f} % interval of the difference {limits} points)"


def _layers(report: Report) -> Iterator[str]:
    """Yield the worst layers and those of the diagnosis; columns without a figure are left out."""
    layers = notable_layers(report)
    columns: dict[str, list[str]] = {"Op": [code(layer.op) for layer in layers]}
    columns["Bits >"] = [str(layer.bits) for layer in layers]
    if any(layer.output for layer in layers):
        columns["Output SQNR >"] = [decibels(layer.output.sqnr_db if layer.output else None) for layer in layers]
    if any(layer.error_share is not None for layer in layers):
        columns["Share of the weights' error >"] = [percent(layer.error_share) for layer in layers]
    columns["Weight SQNR >"] = [decibels(layer.weight.sqnr_db) for layer in layers]
    if layers:
        yield from _table("Worst layers", *columns)
    for number, layer in enumerate(layers):
        yield _row(code(layer.name), *(column[number] for column in columns.values()))


def _choice(report: Report) -> Iterator[str]:
    """Yield the compared candidates, the best first, and the place of the chosen allocation on its front."""
    candidates = report.compared.output_sqnr_db.items() if report.compared else ()
    ranked = sorted(candidates, key=lambda item: -float("inf") if item[1] is None else item[1], reverse=True)
    if ranked:
        yield from _table("Candidate on held-out samples", "Output SQNR >")
    for name, sqnr_db in ranked[:MAX_CANDIDATES]:
        chosen = " (chosen)" if report.compared and name == report.compared.chosen else ""
        yield _row(code(name) + chosen, decibels(sqnr_db))
    if report.allocation:
        if ranked:
            yield ""
        point, front = report.allocation.chosen, report.allocation.front
        yield (
            f"Allocation: {point.mean_bits:.2f} bits on average, {percent(point.size_ratio)} of the size, expected "
            f"{decibels(point.expected_sqnr_db)}; the front has {len(front)} allocations."
        )


def _provenance(report: Report) -> Iterator[str]:
    """Yield one line on the origin of the figures."""
    samples = report.samples
    data = ", ".join(
        f"{used.used} {role} samples"
        for role, used in (("calibration", samples.calibration), ("evaluation", samples.evaluation))
        if used is not None
    )
    if samples.synthetic is not None and samples.synthetic.samples:
        data = f"{data or 'no data'}, rounded by {samples.synthetic.samples} synthetic inputs"
    warnings = f"{len(report.warnings)} warnings, see report.html. " if report.warnings else ""
    yield (
        f"{warnings}quantd {plain(report.provenance.quantd)}, {data or 'no data'}, "
        f"model SHA-256 `{report.model.sha256[:12]}…`"
    )


def _names(report: Report) -> Iterator[str]:
    """Yield every name of the model that a sentence may hold."""
    yield report.model.name
    for layer in report.layers:
        yield layer.name
        yield from _tensors(layer)
    yield from (node.name for node in report.skipped)
    yield from (output.name for output in report.outputs or ())


def _tensors(layer: LayerEntry) -> Iterable[str]:
    return () if layer.activation is None else (layer.activation.tensor,)


def _with_unit(value: float | None, gate: GateEntry, sign: str = "") -> str:
    if value is None:
        return "not measured"
    return f"{value:{sign}.4g} {gate.unit}".rstrip().replace("-", "−")


def _table(*titles: str) -> Sequence[str]:
    """Return the two first lines of a table; a column whose title ends in ">" is aligned to the right."""
    return (
        _row(*(title.removesuffix(" >") for title in titles)),
        _row(*("---:" if title.endswith(">") else "---" for title in titles)),
    )


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
