"""A fork of the server becomes the process of one job."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.worker.scripted import FORK_LIMITS, answers, says
from worker.child import Child


def test_a_fork_is_a_child_of_its_worker_and_sees_no_process_but_itself(children):
    with children.new() as child:
        status = Path(f"/proc/{child.pid}/status").read_text()
        assert f"PPid:\t{os.getpid()}\n" in status
    messages, _ = answers(children.new(), says("os.getpid(), os.getppid(), os.path.exists('/proc/1')"))
    assert messages == [str((1, 0, False))]


def test_a_fork_enters_the_same_sandbox_as_a_command(children):
    messages, _ = answers(children.new(), says("os.environ['QUANTD_SANDBOX'].split()"))
    assert messages == [str(list(children.isolation))]
    for attempt in ("os.fork()", "open('/etc/passwd')", "open(os.environ['PYTHONPATH'] + '/scripted.py')"):
        messages, failure = answers(children.new(), f"import os; {attempt}; " + says("'permitted'"))
        assert "permitted" not in messages
        assert "status 1" in failure.detail


def test_a_fork_inherits_no_open_file(children):
    messages, _ = answers(children.new(), says("sorted(os.listdir('/proc/self/fd'), key=int)"))
    assert messages == ["['0', '1', '2', '3']"]  # the last one is the listing's own


def test_a_fork_does_not_start_in_an_incomplete_sandbox(server, folder):
    with Child(server, folder, replace(FORK_LIMITS, isolation=("landlock_99",))) as child:
        child.begin({"code": "open('out/ran', 'w')"})
        list(child)
        assert not (folder / "out" / "ran").exists()
        assert b"landlock_99 cannot be enabled" in child.stderr()


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("import os; os._exit(7)", "status 7"),
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
        ("b = bytearray(2 << 30)", f"{FORK_LIMITS.memory} bytes"),
    ],
)
def test_a_fork_that_fails_is_reported_like_a_command(children, code, failure):
    messages, ended = answers(children.new(), code)
    assert messages == []
    assert failure in ended.detail


def test_the_memory_limit_excludes_the_libraries(children):
    messages, _ = answers(children.new(), "b = bytearray(900 << 20); " + says("len(b) >> 20"))
    assert messages == ["900"]


def test_a_killed_server_is_started_again_and_its_forks_continue(children, server):
    running = children.new()
    server._process.kill()
    server._process.wait()
    messages, _ = answers(children.new(), says("'new'"))
    assert messages == ["new"]
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
