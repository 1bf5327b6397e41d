"""Code in a job's process tries every way out of the sandbox, on the real kernel."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from worker.child import Child
from worker.children import Children
from worker.process import Limits, command

LIMITS = Limits(memory=2 << 30, timeout_s=20, threads=2, disk=1 << 30)
MISSING = {
    "seccomp": "sandbox.system_calls.pyseccomp = None",
    "landlock": "sandbox._restrict_files = lambda folder, code: []",
    "namespaces": "sandbox.namespaces.leave = lambda libc: []",
    "own_user": "sandbox._become = lambda user, code: []",
}
"""As on a kernel, or in a container, that does not have it."""


@pytest.fixture
def attempt(folder):
    """Run an expression in a sandbox; what it gave, or the name of the exception."""

    def run(code):
        (folder / "given").write_text("input")
        script = (
            "import ctypes, os, pathlib, resource, socket, subprocess, sys, threading\n"
            f"try: result = repr({code})\n"
            "except BaseException as error: result = type(error).__name__\n"
            "pathlib.Path('out', 'result').write_text(result)"
        )
        with Child(command(sys.executable, "-c", script), folder, LIMITS) as child:
            list(child)
            assert (folder / "out" / "result").exists(), child.stderr()
            assert (folder / "given").read_text() == "input"
            return (folder / "out" / "result").read_text()

    return run


def without(monkeypatch, *parts):
    code = "; ".join(["from worker import sandbox", *(MISSING[part] for part in parts), "sandbox.main()"])
    monkeypatch.setattr("worker.process.SANDBOX", (sys.executable, "-c", code))


@pytest.fixture
def level():
    def reached():
        children = Children(command(sys.executable, "-c", ""), LIMITS)
        children.close()
        return children.isolation

    return reached


def test_all_parts_of_the_sandbox_are_reported(level):
    reached = level()
    assert {"no_new_privileges", "resource_limits"} <= set(reached)
    assert any(part.startswith("landlock_") for part in reached)
    assert {"network_namespace", "seccomp"} <= set(reached)


def test_a_missing_part_is_not_reported(level, monkeypatch):
    without(monkeypatch, *MISSING)
    assert level() == ("no_new_privileges", "resource_limits")


def test_nothing_starts_in_an_incomplete_sandbox(folder, monkeypatch):
    without(monkeypatch, "seccomp")
    limits = replace(LIMITS, isolation=("landlock_7", "seccomp"))
    with Child(command(sys.executable, "-c", "open('out/ran', 'w')"), folder, limits) as child:
        list(child)
        assert not (folder / "out" / "ran").exists()
        assert b"seccomp cannot be enabled" in child.stderr()


@pytest.mark.parametrize("missing", [(), ("seccomp",), ("namespaces",)])
def test_no_address_can_be_reached(attempt, monkeypatch, missing):
    without(monkeypatch, *missing)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        told = attempt(f"socket.create_connection(('127.0.0.1', {port}), 2)")
    assert told in ("PermissionError", "ConnectionRefusedError", "OSError")


@pytest.mark.parametrize("missing", [(), ("seccomp",)])
@pytest.mark.parametrize(
    "code",
    [
        "open('/etc/passwd').read()",
        f"open('/proc/{os.getpid()}/environ').read()",
        f"os.listdir({os.path.dirname(__file__)!r})",
        f"open({__file__!r}).read()",
        "os.listdir('..')",
        "open('given', 'a')",
        "os.truncate('given', 0)",
        "os.replace('given', 'out/given')",
        "os.unlink('given')",
        "open('more', 'w')",
        "open('/tmp/more', 'w')",
        "open('/dev/shm/more', 'w')",
        "os.link('given', 'out/hard')",
        "os.symlink('/etc/passwd', 'out/soft')",
        "os.mkfifo('out/fifo')",
    ],
)
def test_no_other_file_is_opened_or_written(attempt, monkeypatch, code, missing):
    without(monkeypatch, *missing)
    assert attempt(code) in ("PermissionError", "OSError", "FileNotFoundError")  # the mounts do not show it


@pytest.mark.parametrize(
    "code",
    [
        "os.fork()",
        "subprocess.run(['/bin/true'])",
        "os.posix_spawn('/bin/true', ['true'], {})",
        f"os.kill({os.getpid()}, 0)",
        "os.kill(-1, 9)",
        "os.setsid()",
        "os.setuid(1)",
        "socket.socket()",
        "socket.socketpair()",
        "os.memfd_create('x')",
        f"resource.prlimit({os.getpid()}, resource.RLIMIT_NOFILE, (8, 8))",
        "resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    ],
)
def test_no_process_is_started_or_reached_and_no_limit_is_raised(attempt, code):
    assert attempt(code) in ("PermissionError", "OSError", "ValueError")


@pytest.mark.parametrize("call", [101, 272, 298, 321, 425])  # ptrace, unshare, perf_event_open, bpf, io_uring_setup
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86_64")
def test_the_most_attacked_system_calls_are_refused(attempt, call):
    assert attempt(f"(ctypes.CDLL(None, use_errno=True).syscall({call}, 0, 0, 0, 0), ctypes.get_errno())") == "(-1, 38)"


def test_the_process_has_no_capabilities_and_gains_none(attempt):
    status = attempt("open('/proc/self/status').read()")
    assert r"CapEff:\t0000000000000000" in status
    assert r"CapPrm:\t0000000000000000" in status
    assert r"NoNewPrivs:\t1" in status


def test_a_job_can_do_what_it_needs(attempt):
    told = attempt(
        "(threading.Thread(target=int).start(), open('given').read(), __import__('tempfile').TemporaryFile().name,"
        " os.kill(os.getpid(), 0), __import__('quant.pipeline') and 'onnxruntime' in sys.modules)"
    )
    assert told.startswith("(None, 'input', ")
    assert told.endswith("True)")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_the_sandbox_works_for_a_worker_without_privileges():
    code = "import os; from worker import sandbox; os.setgid(65534); os.setuid(65534); sandbox.main()"
    with tempfile.TemporaryDirectory() as folder:
        for path in (folder, f"{folder}/out", f"{folder}/tmp"):
            os.makedirs(path, exist_ok=True)
            os.chown(path, 65534, 65534)
        bounds = json.dumps(replace(LIMITS, in_memory=True).bounds(Path(folder)))
        ran = subprocess.run([sys.executable, "-c", code, bounds], capture_output=True, text=True)
    assert {"network_namespace", "seccomp"} <= set(ran.stdout.split()), ran.stderr
