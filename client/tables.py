"""Tables on a terminal: summaries, layers, gates and jobs."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from rich.table import Table

_SUMMARY_ROWS: tuple[tuple[str, Callable[[Mapping[str, Any]], str]], ...] = (
    ("size before", lambda s: f"{s['bytes_before'] / 1000:.1f} kB"),
    ("size after", lambda s: f"{s['bytes_after'] / 1000:.1f} kB"),
    ("ratio", lambda s: f"{100 * s['size_ratio']:.1f} %"),
    ("layers quantized", lambda s: f"{s['quantized_layers']} of {s['layers']}"),
    ("weight SQNR", lambda s: _number(s["weight_sqnr_db"], " dB")),
    ("output SQNR", lambda s: _number(s["output_sqnr_db"], " dB")),
    ("top-1 float", lambda s: _number(s["top1_float"], " %")),
    ("top-1 quantized", lambda s: _number(s["top1_quantized"], " %")),
    ("seconds", lambda s: _number(s["seconds"], "")),
)


def summary_table(summaries: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return a table with one column for each summary: sizes, SQNR, top-1; rows without any value are left out."""
    table = Table("", *summaries, title="Summary", title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for title, cells in _summary_cells(list(summaries.values())):
        if any(cell != "-" for cell in cells):
            table.add_row(title, *cells)
    return table


def _summary_cells(summaries: list[Mapping[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    for title, cell in _SUMMARY_ROWS:
        yield title, [cell(summary) for summary in summaries]


def layer_table(report: Mapping[str, Any], title: str) -> Table:
    """Return a table with one row for each layer of a report; the worst layer is red."""
    table = Table("layer", "op", "shape", "bits", "clip", "bound/max", "SQNR", "MAE", "expected", "distribution",
                  title=title, title_justify="left")  # fmt: skip
    for layer in report["layers"]:
        weight = layer["weight"]
        table.add_row(
            layer["name"], layer["op"], "x".join(map(str, layer["weight_shape"])), str(layer["bits"]),
            layer["clipping"], f"{layer['clip_ratio']:.3f}", _number(weight["sqnr_db"], " dB"),
            f"{weight['mae']:.2e}", "-" if weight["mae_expected"] is None else f"{weight['mae_expected']:.2e}",
            ", ".join(f"{family} {rows}" for family, rows in layer["distribution"].items()),
            style="red" if layer["name"] in report["worst_layers"][:1] else None,
        )  # fmt: skip
    return table


def jobs_table(jobs: Iterable[Mapping[str, Any]]) -> Table:
    """Return a table with one row for each job."""
    table = Table("id", "status", "verdict", "size", "created")
    for job in jobs:
        summary = job["summary"]
        size = f"{100 * summary['size_ratio']:.1f} %" if summary else "-"
        table.add_row(job["id"], job["status"], job["verdict"] or "-", size, job["created_at"])
    return table


def latency_table(latency: Mapping[str, Any]) -> Table:
    """Return a table with one row for each setting: the median latency of both models, and their ratio."""
    if latency["reason"] is not None:
        return Table(f"not measured: {latency['reason']}", title="Latency", title_justify="left")
    table = Table("batch", "threads", "float", "quantized", "ratio", title="Latency (median)", title_justify="left")
    for before, after in zip(latency["float"], latency["quantized"], strict=True):
        ratio = after["median_ms"] / before["median_ms"]
        table.add_row(
            str(before["batch"]), str(before["threads"]), f"{before['median_ms']:.3g} ms",
            f"{after['median_ms']:.3g} ms", f"{ratio:.2f}",
        )  # fmt: skip
    return table


def gates_table(gates: Iterable[Mapping[str, Any]]) -> Table:
    """Return a table with one row for each gate; gates that fail are red."""
    table = Table("gate", "limit", "value", "verdict", title="Gates", title_justify="left")
    for gate in gates:
        passed = gate["passed"]
        value = "not measured" if gate["value"] is None else f"{gate['value']:.4g}"
        table.add_row(
            gate["name"], f"{gate['limit']:g}", value, "pass" if passed else "fail", style=None if passed else "red"
        )
    return table


def _number(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.2f}{unit}"
