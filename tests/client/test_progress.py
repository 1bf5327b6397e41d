"""Progress on a terminal, and where the output is none."""

import io
from itertools import pairwise

import pytest
from rich.console import Console

from quantd import progress
from quantd.progress import UploadProgress, show_progress


class Clock:
    """A clock that each event advances."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def events(self, count, every):
        """Yield events of a job that take `every` seconds each."""
        for step in range(count):
            self.now += every
            yield {"event": "progress", "stage": "fitting", "done": step, "total": count, "message": "/conv"}
            yield {"event": "log", "level": "warning", "message": "not shown here"}


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def printed(events):
    console = Console(file=io.StringIO(), width=160)
    show_progress(console, events)
    return console.file.getvalue().splitlines()


def test_a_short_job_prints_nothing(clock):
    assert printed(clock.events(40, every=0.1)) == []


def test_the_pauses_between_the_lines_of_a_job_double(clock):
    lines = printed(clock.events(100, every=1))
    assert [line.split()[1] for line in lines] == ["5", "15", "35", "75"]
    assert lines[0] == "running     5 s: fitting 4 of 100"


def test_a_long_job_prints_a_line_every_five_minutes(clock):
    times = [int(line.split()[1]) for line in printed(clock.events(500, every=10))]
    assert max(later - earlier for earlier, later in pairwise(times)) == 300


def test_a_terminal_shows_the_stages_and_the_warnings():
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    fitting = {"event": "progress", "stage": "fitting", "done": 1, "total": 2, "message": "/conv\x1b[2J"}
    log = {"event": "log", "level": "warning", "message": "[bold] is not markup"}
    show_progress(console, [{"event": "state"}, fitting, log, {**fitting, "stage": "storing"}])
    text = console.file.getvalue()
    assert "warning: [bold] is not markup\n" in text
    assert text.index("fitting") < text.index("storing")
    assert "\x1b[2J" not in text


def test_an_upload_prints_one_line_unless_it_is_quiet():
    for quiet, expected in ((False, "uploading   m.onnx\n"), (True, "")):
        console = Console(file=io.StringIO(), width=160)
        with UploadProgress(console, quiet) as uploads:
            show = uploads.of("m.onnx")
            show(1, 10)
            show(10, 10)
        assert console.file.getvalue() == expected
