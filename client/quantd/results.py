"""The result of a job as rows for people: gates, figures, what was lost, the worst layers."""

from collections.abc import Iterable, Iterator, Sequence

from quantd.figures import METRICS, Document, Figure, gate_of, value_of, worst_entries
from quantd.regression import RegressionCheck
from quantd.rows import FAIL, PASS, WARN, Row

WORST_LAYERS = 5


def job_rows(job: Document, address: str) -> Iterator[Row]:
    """Yield the rows of a job's state.

    Args:
        job: the job.
        address: the address of its page.
    """
    yield Row("job", job["id"])
    yield Row("report", address)
    yield Row("model", job["model_name"] or job["model"])
    yield Row("preset", job["spec"].get("preset", "int8"))
    if job["tags"]:
        yield Row("tags", ", ".join(f"{key}={value}" for key, value in sorted(job["tags"].items())))
    yield Row("status", _status(job))
    yield Row("created", job["created_at"])
    if job["finished_at"]:
        yield Row("finished", job["finished_at"])
    if problem := job["error"]:
        yield Row("error", f"{problem['code']}: {problem['detail']}", FAIL)
    yield from destination_rows(job)


def _status(job: Document) -> str:
    if job["stage"]:
        return f"{job['status']}: {job['stage']}, attempt {job['attempt']}"
    return f"{job['status']} (result of an equal job)" if job["cached"] else str(job["status"])


def result_rows(job: Document) -> Iterator[Row]:
    """Yield the gates and the figures of a job that has succeeded."""
    yield from gate_rows(job["gates"])
    yield from summary_rows(job["summary"], job["latency"], None)


def destination_rows(job: Document) -> Iterator[Row]:
    """Yield a row on the copy of the artifacts, if the job has a destination."""
    destination = job.get("destination")
    if destination is None:
        return
    if destination["error"]:
        reason = f"{destination['status']}: {destination['error']['detail']}"
        yield Row("NOT copied", f"to {destination['url']}, {reason}", FAIL)
    else:
        yield Row("destination", f"{destination['url']}, {destination['status']}")


def gate_rows(gates: Iterable[Document]) -> Iterator[Row]:
    """Yield a row for each gate."""
    for gate in gates:
        text = _gate(gate)
        yield Row("gate pass", text, PASS) if gate["passed"] else Row("gate FAIL", text, FAIL)


def _gate(result: Document) -> str:
    """Return the value of a gate and its limit; short, so that it fits a line."""
    name, value, limit, unit = result["name"], result["value"], result["limit"], gate_of(result).unit
    unit = unit and f" {unit}"
    if result.get("reason"):
        return f"{name} not judged: {result['reason']}"
    if value is None:
        return f"{name} not measured, limit {limit:g}{unit}"
    missed = "" if result["passed"] else f", missed by {abs(value - limit):.3g}{unit}"
    return f"{name} {value:.4g}{unit}, limit {limit:g}{unit}{missed}"


def regression_rows(name: str, baseline: Document | None, checks: Sequence[RegressionCheck]) -> Iterator[Row]:
    """Yield the rows on the baseline: its job, and each metric that has a limit.

    Args:
        name: the baseline as the caller named it.
        baseline: the job; None if there is none yet.
        checks: the metrics with a limit.
    """
    if baseline is None:
        yield Row("baseline", f"no succeeded job of this model has the {name} yet: there is nothing to compare with")
        return
    yield Row("baseline", f"{baseline['id']} of {baseline['finished_at']}")
    for check in checks:
        text = _regression(check)
        yield Row("change pass", text, PASS) if check.passed else Row("change FAIL", text, FAIL)


def _regression(check: RegressionCheck) -> str:
    """Return the change of a metric and its limit; short, so that it fits a line."""
    if check.value is None or check.baseline is None or check.change is None:
        return check.sentence
    change = f"{abs(check.change):.3g} {check.unit}".rstrip()
    limit = f"{check.limit:g} {check.unit}".rstrip()
    word = METRICS[check.name].word(check.change)
    return f"{check.name} {check.value:.4g}, {change} {word} than {check.baseline:.4g}, limit {limit}"


def summary_rows(summary: Document, latency: Document | None, baseline: Document | None) -> Iterator[Row]:
    """Yield the rows of the figures that were measured, with their differences from a baseline's summary.

    Args:
        summary: the summary of the job.
        latency: the latency of the job; None if it has none.
        baseline: the summary of the baseline; None without one.
    """
    before, after = format_bytes(summary["bytes_before"]), format_bytes(summary["bytes_after"])
    ratio = _difference("size_ratio", summary, baseline, scale=100, unit=" points")
    yield Row("size", f"{after}, {100 * summary['size_ratio']:.1f} % of {before}{ratio}")
    if summary["quantized_layers"] < summary["layers"]:
        yield Row("layers", f"{summary['quantized_layers']} of {summary['layers']} quantized")
    for label, name in (("weight SQNR", "weight_sqnr_db"), ("output SQNR", "output_sqnr_db")):
        if (value := summary[name]) is not None:
            yield Row(label, f"{value:.2f} dB{_difference(name, summary, baseline)}")
    if summary["top1_quantized"] is not None:
        text = f"{summary['top1_quantized']:.2f} %, float {summary['top1_float']:.2f} %"
        yield Row("top-1", text + _difference("top1_quantized", summary, baseline))
    for entry in worst_entries(summary):
        figure = METRICS.get(entry["name"], Figure(entry["name"], entry["name"], entry["unit"]))
        yield Row(figure.title, figure.written(entry["value"]) + _difference(figure.name, summary, baseline))
    if latency and latency["float"]:
        yield Row("latency", _latency(latency))


def _difference(name: str, now: Document, before: Document | None, *, scale: float = 1, unit: str | None = None) -> str:
    """Return the change of a metric in parentheses; empty without a baseline or if a figure is missing."""
    metric = METRICS.get(name)
    if metric is None or before is None:
        return ""
    value, old = value_of(metric, now), value_of(metric, before)
    if value is None or old is None:
        return ""
    change = scale * (value - old)
    if f"{abs(change):.2f}" == "0.00":
        return " (baseline: the same)"
    shown = f" {metric.difference_unit}" if unit is None else unit
    return f" (baseline: {abs(change):.2f}{shown.rstrip()} {metric.word(change)})"


def _latency(latency: Document) -> str:
    before, after = latency["float"][0], latency["quantized"][0]
    threads = f"{after['threads']} thread{'s' if after['threads'] > 1 else ''}"
    ratio = after["median_ms"] / before["median_ms"]
    return (
        f"{after['median_ms']:.3g} ms, float {before['median_ms']:.3g} ms: {ratio:.2f} of it "
        f"(median, batch {after['batch']}, {threads})"
    )


def report_rows(report: Document) -> Iterator[Row]:
    """Yield the rows of what was lost, of the worst layers and of the number of warnings."""
    yield from _diagnosis_rows(report)
    yield from layer_rows("worst", worst_layers(report))
    if count := len(report["warnings"]):
        yield Row("warnings", f"{count}, listed in the report", WARN)


def full_report_rows(report: Document) -> Iterator[Row]:
    """Yield the rows of what was lost, of every layer, of the nodes that stay as they are, and of every warning."""
    yield from _diagnosis_rows(report)
    yield from layer_rows("layers", report["layers"])
    for node in report["skipped"]:
        yield Row("skipped", f"{node['name']} ({node['op']}): {node['reason']}")
    for warning in report["warnings"]:
        yield Row("warning", warning, WARN)


def _diagnosis_rows(report: Document) -> Iterator[Row]:
    if sentence := (report.get("diagnosis") or {}).get("sentence"):
        yield Row("diagnosis", sentence)


def worst_layers(report: Document) -> list[Document]:
    """Return the layers with the largest shares of the error, or with the least SQNR where no share is known."""
    measured = [layer for layer in report["layers"] if layer.get("error_share") is not None]
    if measured:
        return sorted(measured, key=lambda layer: float(layer["error_share"]), reverse=True)[:WORST_LAYERS]
    by_name = {layer["name"]: layer for layer in report["layers"]}
    return [by_name[name] for name in report["worst_layers"][:WORST_LAYERS] if name in by_name]


def layer_rows(label: str, layers: Sequence[Document]) -> Iterator[Row]:
    """Yield a header with this label and a row for each layer; the name is last, because it may be long."""
    if not layers:
        return
    yield Row(
        label, _columns("bits", "weight", "output", "of error", "layer (SQNR in dB; error of weights)"), wrapped=False
    )
    for layer in layers:
        yield Row("", _layer(layer), wrapped=False)


def _layer(layer: Document) -> str:
    output, share = layer.get("output"), layer.get("error_share")
    return _columns(
        str(layer["bits"]),
        f"{layer['weight']['sqnr_db']:.1f}",
        f"{output['sqnr_db']:.1f}" if output else "-",
        "-" if share is None else f"{100 * share:.1f} %",
        layer["name"],
    )


def _columns(bits: str, weight: str, output: str, share: str, name: str) -> str:
    return f"{bits:>4} {weight:>7} {output:>7} {share:>9}  {name}"


def format_bytes(count: int) -> str:
    """Return a number of bytes in the unit that fits it."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
