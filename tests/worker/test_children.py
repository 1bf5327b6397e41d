"""Each job has a process and a folder of its own."""

import tempfile

import pytest

from tests.worker import scripted
from worker.children import Children
from worker.process import Limits

LIMITS = Limits(memory=1 << 30, timeout_s=20, threads=2, disk=1 << 30)


@pytest.fixture(autouse=True)
def _own_place(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def server(monkeypatch):
    started = scripted.server(monkeypatch)
    yield started
    started.close()


@pytest.fixture
def children(server):
    started = Children(server, LIMITS)
    yield started
    started.close()


def says(value):
    """Return code that reports the value of an expression."""
    event = f"{{'event': 'progress', 'stage': 'loading', 'done': 1, 'total': 1, 'message': str(({value}))}}"
    return f"import json, os; print(json.dumps({event}), flush=True)"


def answers(child, code):
    with child:
        child.begin({"code": code})
        return [line.message for line in child if line is not None], child.failure()


def test_each_job_has_a_process_and_a_folder_of_its_own(children):
    first, second = children.new(), children.new()
    assert first.pid != second.pid
    for child in (first, second):
        messages, _ = answers(child, says("os.getpid(), os.getcwd(), os.environ['TMPDIR']"))
        assert messages == [str((child.pid, str(child.folder), str(child.folder / "tmp")))]
        assert not child.folder.exists()


def test_nothing_is_left_after_the_end(children, tmp_path):
    child = children.new()
    child.close()
    children.close()
    assert list(tmp_path.iterdir()) == []
