"""Progress on a terminal: bars for the stages of a job and for uploads; few plain lines elsewhere."""

import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from quantd.console import line
from quantd.text import printable

FIRST_PAUSE_S = 5.0
"""Least time between the start of a job and the first line on its progress where the output is not a terminal."""
LONGEST_PAUSE_S = 300.0
"""Longest pause between two such lines. CI systems end a job that prints nothing for ten minutes."""

Event = Mapping[str, Any]


def show_progress(console: Console, events: Iterable[Event]) -> None:
    """Show a job's events until its end.

    A terminal shows a bar with the time left for each stage, and warnings as they come. Elsewhere a line says from time
    to time how far the job is. The pause between lines doubles, so that the log of a long job stays short.
    """
    if console.is_terminal:
        _show_bars(console, events)
    else:
        _print_lines(console, events)


class _TimesColumn(ProgressColumn):
    """The time that a stage took so far, and the time left."""

    def render(self, task: Task) -> Text:
        """Return the times, such as "0:12, 1:03 left"."""
        elapsed = task.finished_time if task.finished else task.elapsed
        left = "" if task.finished or task.time_remaining is None else f", {_minutes(task.time_remaining)} left"
        return Text(f"{_minutes(elapsed or 0)}{left}")


def _minutes(seconds: float) -> str:
    """Return a duration as minutes and seconds."""
    return "{}:{:02}".format(*divmod(round(seconds), 60))


def _show_bars(console: Console, events: Iterable[Event]) -> None:
    columns = (
        TextColumn("{task.fields[stage]:<11}", markup=False),
        BarColumn(bar_width=24),
        _TimesColumn(),
        TextColumn("{task.description}", markup=False),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, transient=True) as progress:
        waiting = progress.add_task("", total=None, stage="waiting")
        for event in events:
            if event["event"] == "log" and event["level"] == "warning":
                progress.console.print(line("warning: ", event["message"]), soft_wrap=True)
            if event["event"] != "progress":
                continue
            progress.update(waiting, visible=False)
            stage = event["stage"]
            if stage not in tasks:
                _complete(progress, tasks.values())
                tasks[stage] = progress.add_task("", stage=stage)
            message = printable(event["message"])
            progress.update(tasks[stage], completed=event["done"], total=event["total"] or None, description=message)


def _complete(progress: Progress, tasks: Iterable[TaskID]) -> None:
    """Show the bars of earlier stages as complete."""
    for task in tasks:
        progress.update(task, total=1, completed=1, description="")


def _print_lines(console: Console, events: Iterable[Event]) -> None:
    start = time.monotonic()
    pause, due = FIRST_PAUSE_S, start + FIRST_PAUSE_S
    for event in events:
        now = time.monotonic()
        if event["event"] != "progress" or now < due:
            continue
        steps = f" {event['done']} of {event['total']}" if event["total"] > 1 else ""
        console.print(line(f"{'running':<12}{now - start:.0f} s: {event['stage']}{steps}"), soft_wrap=True)
        pause = min(2 * pause, LONGEST_PAUSE_S)
        due = now + pause


class UploadProgress:
    """The progress of large uploads: a bar for each file on a terminal, elsewhere a line for each."""

    def __init__(self, console: Console, quiet: bool) -> None:
        self._console, self._quiet = console, quiet
        name = TextColumn("uploading {task.description}", markup=False)
        columns = (name, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(compact=True))
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
                task = self._progress.add_task(printable(name), total=size)
                if not self._quiet and not self._console.is_terminal:
                    self._console.print(line(f"{'uploading':<12}{name}"), soft_wrap=True)
            self._progress.update(task, completed=sent)

        return show
