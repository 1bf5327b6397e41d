"""A job meets a process that waits for it, and never one that another job had."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from worker.child import Killed, Limits
from worker.protocol import Refused, Told
from worker.warm import Warm
from worker.workspaces import PREFIX, Workspaces

LIMITS = Limits(memory=2 << 30, timeout_s=20, threads=2, disk=1 << 30)
ECHO = (
    "import json, sys; job = json.loads(sys.stdin.readline());"
    " print(json.dumps({'event': 'progress', 'stage': 'loading', 'done': 1, 'total': 1, 'message': job['name']}))"
)


@pytest.fixture(autouse=True)
def _own_place(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def warm():
    children = Warm((sys.executable, "-c", ECHO), LIMITS)
    yield children
    children.close()


def answers(child, name):
    with child:
        child.begin({"name": name})
        return [line.message for line in child if line is not None]


def test_each_job_has_a_process_and_a_folder_of_its_own(warm):
    first, second = warm.take(), warm.take()
    assert first.pid != second.pid
    assert first.folder != second.folder
    assert (answers(first, "a"), answers(second, "b")) == (["a"], ["b"])
    assert not first.folder.exists()


def test_what_starts_them_is_replaced_when_it_was_killed(warm):
    running = warm.take()
    os.kill(warm._nursery._process.pid, signal.SIGKILL)
    assert isinstance(running.failure(), Killed)
    assert answers(warm.take(), "c") == ["c"]
    running.close()


def test_they_end_with_what_starts_them(warm):
    running = warm.take()
    warm._nursery.close()
    until = time.monotonic() + 5
    while os.path.exists(f"/proc/{running.pid}") and time.monotonic() < until:
        time.sleep(0.01)
    assert not os.path.exists(f"/proc/{running.pid}")


def test_one_after_the_other_starts_in_milliseconds():
    children = Warm((), LIMITS)
    children.take().close()  # its imports are done
    begun = time.monotonic()
    for _ in range(5):
        with children.take() as child:
            child.begin({"model": "none", "name": "m", "spec": {}, "out": "out"})
            assert any(isinstance(line, Refused | Told) for line in child)
    assert time.monotonic() - begun < 5 * 0.5
    children.close()


def test_nothing_is_left_after_the_end(warm, tmp_path):
    taken = warm.take()
    taken.close()
    warm.close()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_worker_left_is_swept_and_what_a_live_one_holds_stays(tmp_path):
    code = f"import tempfile; tempfile.tempdir = {str(tmp_path)!r}; from worker.workspaces import Workspaces; "
    code += "spaces = Workspaces(); spaces.new(); print('ready', flush=True); import time; time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        (held,) = tmp_path.glob(f"{PREFIX}*")
        Workspaces().close()
        assert held.exists()
        other.kill()
        other.wait()
        Workspaces().close()
        assert not held.exists()


def test_a_folder_that_is_just_being_made_is_not_swept(tmp_path):
    young = Path(tmp_path, f"{PREFIX}young")
    young.mkdir()
    Workspaces().close()
    assert young.exists()
    os.utime(young, (0, 0))
    Workspaces().close()
    assert not young.exists()
