"""A job has a process of its own, forked from one that has loaded all it needs."""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.worker import scripted
from worker.child import Child
from worker.children import Children
from worker.process import Limits
from worker.workspaces import PREFIX, Workspaces

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
    made = Children(server, LIMITS)
    yield made
    made.close()


def says(value):
    """Code that tells the value of an expression."""
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
        told, _ = answers(child, says("os.getpid(), os.getcwd(), os.environ['TMPDIR']"))
        assert told == [str((child.pid, str(child.folder), str(child.folder / "tmp")))]
        assert not child.folder.exists()


def test_a_fork_is_its_workers_and_has_a_session_of_its_own(children):
    told, _ = answers(children.new(), says("os.getppid() == os.getsid(0), os.getppid(), os.getsid(0) == os.getpid()"))
    assert told == [str((False, os.getpid(), True))]


def test_a_fork_is_in_the_sandbox_that_a_command_is_in(children):
    told, _ = answers(children.new(), says("os.environ['QUANTD_SANDBOX'].split()"))
    assert told == [str(list(children.isolation))]
    for attempt in ("os.fork()", "open('/etc/passwd')", "open(os.environ['PYTHONPATH'] + '/scripted.py')"):
        told, failure = answers(children.new(), f"import os; {attempt}")
        assert told == []
        assert "status 1" in failure.detail


def test_a_fork_holds_nothing_of_the_servers(children):
    told, _ = answers(children.new(), says("sorted(os.listdir('/proc/self/fd'), key=int)"))
    assert told == ["['0', '1', '2', '3']"]  # the last one is the listing's own


def test_a_fork_does_not_start_with_less_than_it_must_be_kept_from(server, folder):
    with Child(server, folder, replace(LIMITS, isolation=("landlock_99",))) as child:
        child.begin({"code": "open('out/ran', 'w')"})
        list(child)
        assert not (folder / "out" / "ran").exists()
        assert b"landlock_99 cannot be enabled" in child.stderr()


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("import os; os._exit(7)", "status 7"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("b = bytearray(2 << 30)", f"{LIMITS.memory} bytes"),
    ],
)
def test_the_end_of_a_fork_is_told_as_that_of_a_command(children, code, failure):
    told, found = answers(children.new(), code)
    assert told == []
    assert failure in found.detail


def test_a_limit_counts_what_a_job_takes_and_not_its_libraries(children):
    told, _ = answers(children.new(), "b = bytearray(900 << 20); " + says("len(b) >> 20"))
    assert told == ["900"]


def test_a_server_that_was_killed_is_started_again_and_its_forks_go_on(children, server):
    running = children.new()
    server._process.kill()
    server._process.wait()
    told, _ = answers(children.new(), says("'new'"))
    assert told == ["new"]
    assert answers(running, says("'old'"))[0] == ["old"]


def test_a_fork_ends_with_its_worker(tmp_path):
    code = (
        "import pathlib, sys, time; from pytest import MonkeyPatch; from tests.worker import scripted\n"
        "from worker.children import Children; from worker.process import Limits\n"
        "children = Children(scripted.server(MonkeyPatch()), Limits(1 << 30, 60, 2, 1 << 30)); child = children.new()\n"
        "child.begin({'code': 'import time; time.sleep(60)'}); print(child.pid, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as worker:
        pid = int(worker.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        worker.kill()
    deadline = time.monotonic() + 30
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _runs(pid)


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_nothing_is_left_after_the_end(children, tmp_path):
    child = children.new()
    child.close()
    children.close()
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
