"""A job meets a process that waits for it, and never one that another job had."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from worker.child import Limits
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


def test_one_that_was_killed_while_it_waited_is_replaced(warm):
    killed = warm.take()
    waiting = warm._waiting[0].pid
    os.kill(waiting, signal.SIGKILL)
    while warm._waiting[0].alive:
        time.sleep(0.01)
    taken = warm.take()
    assert taken.pid != waiting
    assert answers(taken, "c") == ["c"]
    killed.close()


def test_as_many_wait_as_jobs_may_begin_at_once():
    children = Warm((sys.executable, "-c", ECHO), LIMITS, ready=2)
    waiting = [child.pid for child in children._waiting]
    taken = [children.take(), children.take()]
    assert [child.pid for child in taken] == waiting
    for child in taken:
        child.close()
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
