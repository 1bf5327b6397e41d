"""What a person sees: the progress of a job, its summary and its layers."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)
from rich.table import Table


def show_progress(console: Console, events: Iterable[Mapping[str, Any]]) -> None:
    """A bar on a terminal, a line a stage elsewhere; and what the log says."""
    if console.is_terminal:
        _bar(console, events)
        return
    stage = None
    for event in events:
        if event["event"] == "log":
            _log(console, event)
        elif event["event"] == "progress" and event["stage"] != stage:
            stage = event["stage"]
            console.print(f"{stage} ...", highlight=False)


class UploadProgress:
    """How far large uploads are: a bar each on a terminal, a line each elsewhere."""

    def __init__(self, console: Console, quiet: bool) -> None:
        self._console, self._quiet = console, quiet
        name = TextColumn("uploading {task.description}", markup=False)
        columns = (name, BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._progress = Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def of(self, name: str) -> Callable[[int, int], None]:
        """What is told of one file: the bytes that were sent, and those that there are."""
        task: TaskID | None = None

        def told(sent: int, size: int) -> None:
            nonlocal task
            if task is None:
                task = self._progress.add_task(name, total=size)
                if not self._quiet and not self._console.is_terminal:
                    self._console.print(f"uploading {name} ...", highlight=False, markup=False)
            self._progress.update(task, completed=sent)

        return told


def _log(console: Console, event: Mapping[str, Any]) -> None:
    console.print(f"{event['level']}: {event['message']}", highlight=False, markup=False, soft_wrap=True)


def _bar(console: Console, events: Iterable[Mapping[str, Any]]) -> None:
    columns = (
        TextColumn("{task.fields[stage]:<12}"),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=1, stage="queued")
        for event in events:
            if event["event"] == "log":
                _log(progress.console, event)
            if event["event"] != "progress":
                continue
            done, total = event["done"], event["total"] or None
            progress.update(task, completed=done, total=total, description=event["message"], stage=event["stage"])


def summary_table(summaries: Mapping[str, Mapping[str, Any]]) -> Table:
    """One column a job: size, SQNR, top-1 before and after."""
    table = Table("", *summaries, title="Summary", title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for title, cells in _rows(summaries.values()):
        if any(cell != "-" for cell in cells):
            table.add_row(title, *cells)
    return table


def _rows(summaries: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    given = list(summaries)
    formats = (
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
    for title, cell in formats:
        yield title, [cell(summary) for summary in given]


def layer_table(report: Mapping[str, Any], title: str) -> Table:
    """One row a layer, the worst ones in red."""
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
    table = Table("id", "status", "verdict", "size", "created")
    for job in jobs:
        summary = job["summary"]
        size = f"{100 * summary['size_ratio']:.1f} %" if summary else "-"
        table.add_row(job["id"], job["status"], job["verdict"] or "-", size, job["created_at"])
    return table


def gates_table(gates: Iterable[Mapping[str, Any]]) -> Table:
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
