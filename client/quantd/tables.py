"""Tables on a terminal: summaries, layers, jobs, keys and usage."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from quantd.console import line

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


def job_lines(jobs: Iterable[Mapping[str, Any]]) -> Iterator[Text]:
    """Yield a header and a line for each job; the model's name is last, because it may be long."""
    yield line(_job_columns("id", "status", "gates", "size", "age", "model"))
    for job in jobs:
        summary = job["summary"]
        size = f"{100 * summary['size_ratio']:.0f} %" if summary else "-"
        name = job["model_name"] or job["model"]
        yield line(_job_columns(job["id"], job["status"], job["verdict"] or "-", size, _age(job["created_at"]), name))


def _job_columns(job_id: str, status: str, verdict: str, size: str, age: str, name: str) -> str:
    return f"{job_id:<36} {status:<9} {verdict:<5} {size:>5} {age:>4} {name}"


def _age(time: str) -> str:
    """Return the time since an RFC 3339 time, in its largest unit."""
    seconds = (datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def batch_table(batch: Mapping[str, Any]) -> Table:
    """Return a table with one row for each job of a batch."""
    title = f"{batch['id']}: {batch['status']}"
    table = Table("job", "model", "spec", "status", "gates", "size", "output SQNR", title=title, title_justify="left")
    for job in batch["jobs"]:
        summary = job["summary"]
        size = f"{100 * summary['size_ratio']:.1f} %" if summary else "-"
        sqnr = _number(summary["output_sqnr_db"], " dB") if summary else "-"
        spec, name = str(job["spec"].get("preset", "int8")), job["model_name"] or job["model"]
        table.add_row(job["id"], name, spec, job["status"], job["verdict"] or "-", size, sqnr)
    return table


def keys_table(keys: Iterable[Mapping[str, Any]]) -> Table:
    """Return a table with one row for each API key."""
    table = Table("id", "tenant", "name", "scopes", "created", "revoked")
    for key in keys:
        scopes = ", ".join(key["scopes"])
        table.add_row(key["id"], key["tenant"], key["name"], scopes, key["created_at"], key["revoked_at"] or "-")
    return table


def usage_table(tenants: Mapping[str, Mapping[str, float]]) -> Table:
    """Return a table with one row for each tenant: its jobs, their time and the stored bytes."""
    table = Table("tenant", "succeeded", "failed", "cancelled", "cached", "hours", "uploaded", "artifacts")
    for tenant, used in tenants.items():
        counts = (f"{used[f'jobs_{name}']:.0f}" for name in ("succeeded", "failed", "cancelled", "cached"))
        sizes = (f"{used[name] / 1e6:.1f} MB" for name in ("uploaded_bytes", "artifact_bytes"))
        table.add_row(tenant, *counts, f"{used['job_seconds'] / 3600:.2f}", *sizes)
    return table


def _number(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.2f}{unit}"
