"""Progress on a terminal: bars for a job and for uploads, plain lines where the output is not a terminal."""

from collections.abc import Callable, Iterable, Mapping
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


def show_progress(console: Console, events: Iterable[Mapping[str, Any]]) -> None:
    """Show a job's events: a bar on a terminal, elsewhere one line for each stage; log messages in both."""
    if console.is_terminal:
        _show_bar(console, events)
        return
    stage = None
    for event in events:
        if event["event"] == "log":
            _print_log(console, event)
        elif event["event"] == "progress" and event["stage"] != stage:
            stage = event["stage"]
            console.print(f"{stage} ...", highlight=False)


class UploadProgress:
    """The progress of large uploads: a bar for each file on a terminal, elsewhere a line for each."""

    def __init__(self, console: Console, quiet: bool) -> None:
        self._console, self._quiet = console, quiet
        name = TextColumn("uploading {task.description}", markup=False)
        columns = (name, BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._progress = Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal)

    def __enter__(self) -> Self:
        """Start the display."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the display."""
        self._progress.stop()

    def of(self, name: str) -> Callable[[int, int], None]:
        """Return a callback that shows the progress of one file, given the bytes sent and its size."""
        task: TaskID | None = None

        def show(sent: int, size: int) -> None:
            nonlocal task
            if task is None:
                task = self._progress.add_task(name, total=size)
                if not self._quiet and not self._console.is_terminal:
                    self._console.print(f"uploading {name} ...", highlight=False, markup=False)
            self._progress.update(task, completed=sent)

        return show


def _print_log(console: Console, event: Mapping[str, Any]) -> None:
    console.print(f"{event['level']}: {event['message']}", highlight=False, markup=False, soft_wrap=True)


def _show_bar(console: Console, events: Iterable[Mapping[str, Any]]) -> None:
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
                _print_log(progress.console, event)
            if event["event"] != "progress":
                continue
            completed, total = event["done"], event["total"] or None
            progress.update(task, completed=completed, total=total, description=event["message"], stage=event["stage"])
