"""A job's process ends with its worker, and namespaces that the kernel refuses are left out."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.worker.scripted import answers, says

WORKER = """
import sys, time
from pytest import MonkeyPatch
from tests.worker import scripted
from worker import sandbox
from worker.children import Children
from worker.process import Limits
children = Children(scripted.server(MonkeyPatch()), Limits(1 << 30, 60, 2, 1 << 20))
child = children.new()
clear = "import ctypes, time; ctypes.CDLL(None).prctl(1, 0, 0, 0, 0); print(1, flush=True); time.sleep(60)"
child.begin({"code": clear})
for line in child:
    print(child.pid, flush=True)
"""
"""A worker whose job tries to outlive it."""


def test_a_job_that_clears_the_signal_of_its_parents_death_ends_with_its_worker(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", WORKER], stdout=subprocess.PIPE, env=environment) as worker:
        lines = (line for line in worker.stdout if line.strip().isdigit())
        pid = int(next(lines))
        next(lines)  # the call was refused meanwhile
        assert runs(pid)
        worker.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while runs(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not runs(pid)


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


ORPHAN = """
import os, subprocess, sys, time
import ctypes
from worker import namespaces
libc = ctypes.CDLL(None, use_errno=True)
assert "pid_namespace" in namespaces.leave(libc)
namespaces.run_inside(libc)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600.125)
    os._exit(0)
time.sleep(60)
"""


def test_orphans_in_a_session_of_their_own_end_with_the_init_of_their_process_ids():
    code = ORPHAN.replace(
        "time.sleep(600.125)", "os.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(600.125)'])"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as monitor:
        deadline = time.monotonic() + 30
        while not orphans() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert orphans()
        monitor.kill()
    deadline = time.monotonic() + 30
    while orphans() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not orphans()


def orphans():
    """Return the processes that sleep for the time of this test."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            found += [process] if b"import time; time.sleep(600.125)" in words else []
    return found


def test_a_process_ends_as_its_init_does():
    code = "import ctypes, os; from worker import namespaces; libc = ctypes.CDLL(None); namespaces.leave(libc); "
    code += "namespaces.run_inside(libc); "
    assert subprocess.run([sys.executable, "-c", code + "os._exit(7)"]).returncode == 7
    assert subprocess.run([sys.executable, "-c", code + "ctypes.string_at(0)"]).returncode == -signal.SIGSEGV


@pytest.mark.skipif(os.getuid() != 0, reason="only root leaves root")
def test_concurrent_jobs_of_root_have_users_of_their_own(children):
    assert "own_user" in children.isolation
    running = [children.new() for _ in range(3)]
    users = set()
    for child in running:
        messages, _ = answers(child, says("os.getresuid() + os.getresgid()"))
        users.add(messages[0])
    assert len(users) == 3
    assert not any("0" in re.findall(r"\d+", user) for user in users)


def test_a_job_reads_its_inputs_and_writes_artifacts_as_its_user(children):
    child = children.new()
    (child.folder / "model").write_bytes(b"weights")
    with child:
        child.begin({"code": "open('out/copy', 'wb').write(open('model', 'rb').read())"})
        list(child)
        assert (child.space / "out" / "copy").read_bytes() == b"weights"
