"""Tables for people: summaries, layers, jobs, keys and usage."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from quantd.text import printable

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


def job_lines(jobs: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Return a header and a line for each job."""
    rows = []
    for job in jobs:
        name, size = job["model_name"] or job["model"], _ratio(job["summary"], 0)
        rows.append((job["id"], job["status"], job["verdict"] or "-", size, _age(job["created_at"]), name))
    return _lines(("id", "status", "gates", "size>", "age>", "model"), rows)


def batch_lines(batch: Mapping[str, Any]) -> Iterator[str]:
    """Return a header and a line for each job of a batch."""
    rows = []
    for job in batch["jobs"]:
        sqnr = _number(job["summary"]["output_sqnr_db"], " dB") if job["summary"] else "-"
        preset, name = str(job["spec"].get("preset", "int8")), job["model_name"] or job["model"]
        size = _ratio(job["summary"], 1)
        rows.append((job["id"], job["status"], job["verdict"] or "-", size, sqnr, preset, name))
    return _lines(("id", "status", "gates", "size>", "output>", "preset", "model"), rows)


def key_lines(keys: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Return a header and a line for each API key."""
    rows = [
        (key["id"], key["tenant"], ",".join(key["scopes"]), key["created_at"], key["revoked_at"] or "-", key["name"])
        for key in keys
    ]
    return _lines(("id", "tenant", "scopes", "created", "revoked", "name"), rows)


def usage_lines(tenants: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Return a header and a line for each tenant: its jobs, their time and the stored bytes."""
    rows = []
    for tenant, used in tenants.items():
        counts = (f"{used[f'jobs_{name}']:.0f}" for name in ("succeeded", "failed", "cancelled", "cached"))
        sizes = (f"{used[name] / 1e6:.1f} MB" for name in ("uploaded_bytes", "artifact_bytes"))
        rows.append((*counts, f"{used['job_seconds'] / 3600:.2f}", *sizes, tenant))
    titles = ("succeeded>", "failed>", "cancelled>", "cached>", "hours>", "uploaded>", "artifacts>", "tenant")
    return _lines(titles, rows)


def _lines(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield a header and a line for each row.

    A column is as wide as its longest cell, and to the right if its title ends with ">". The last one is not filled up.
    """
    right = [title.endswith(">") for title in titles]
    cells = [tuple(title.rstrip(">") for title in titles), *(tuple(map(printable, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        columns = zip(row, widths, right, strict=True)
        yield "  ".join(
            cell.rjust(width) if at_right else cell.ljust(width) for cell, width, at_right in columns
        ).rstrip()


def _age(time: str) -> str:
    """Return the time since an RFC 3339 time, in its largest unit."""
    seconds = (datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _ratio(summary: Mapping[str, Any] | None, digits: int) -> str:
    return f"{100 * summary['size_ratio']:.{digits}f} %" if summary else "-"


def _number(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.2f}{unit}"
