"""A line of the child is a message only if it has a known shape."""

import json

import pytest

from quant.texts import MOST_CHARACTERS
from worker.protocol import ProgressLine, Refused, read_line

PROGRESS = {"event": "progress", "stage": "fitting", "done": 3, "total": 20, "message": "conv1"}
ERROR = {"event": "error", "code": "model.unreadable", "title": "t", "detail": "d", "errors": []}


@pytest.mark.parametrize(("done", "total", "fraction"), [(3, 20, 0.15), (0, 0, 0.0), (21, 20, 1.0)])
def test_progress_is_a_fraction_of_its_stage(done, total, fraction):
    line = read_line(json.dumps({**PROGRESS, "done": done, "total": total}).encode())
    assert isinstance(line, ProgressLine)
    assert line.progress.fraction == fraction


def test_an_error_becomes_a_problem_with_its_status():
    line = read_line(json.dumps(ERROR).encode())
    assert isinstance(line, Refused)
    assert (line.problem.code, line.problem.status) == ("model.unreadable", 422)


@pytest.mark.parametrize(
    "line",
    [
        b"", b"noise", b"[]", b"{}", b'{"event": "done"}', b'{"event": "magic"}', b"\xff", b"[" * 100_000,
        json.dumps({**PROGRESS, "stage": "dreaming"}).encode(),
        json.dumps({**PROGRESS, "done": -1}).encode(),
        json.dumps({**PROGRESS, "total": "many"}).encode(),
        json.dumps({"event": "log", "level": "fatal", "message": "m"}).encode(),
        json.dumps({**ERROR, "code": "<script>"}).encode(),
        json.dumps({**ERROR, "errors": [{"pointer": "/a"}]}).encode(),
    ],
)  # fmt: skip
def test_an_unknown_line_is_no_message(line):
    assert read_line(line) is None


def test_every_text_of_a_message_is_shortened():
    long = "x" * 300_000
    progress = read_line(json.dumps({**PROGRESS, "message": long}).encode())
    faults = [{"pointer": long, "detail": long}]
    refused = read_line(json.dumps({**ERROR, "title": long, "detail": long, "errors": faults}).encode())
    texts = [progress.message, refused.title, refused.detail, refused.errors[0].pointer, refused.errors[0].detail]
    assert [len(text) for text in texts] == [MOST_CHARACTERS] * 5
