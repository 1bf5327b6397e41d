"""A job's process is limited, read line by line, and killed with everything that it started."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from jobs.errors import WorkerCrashed, WorkerOutOfDisk, WorkerOutOfMemory, WorkerTimeout
from worker.child import Child
from worker.process import Limits, command
from worker.protocol import ProgressLine

MEMORY = 2 << 30
LARGE = """
import mmap, os, tempfile, time
def large(name):
    file = open("tmp/" + name, "w+b")
    os.unlink("tmp/" + name)
    file.truncate(1 << 20)
    file_map = mmap.mmap(file.fileno(), 1 << 20)
    file.close()
    file_map.write(b"x" * (1 << 20))
    return file_map
"""
"""A function that maps a file of a megabyte which has no name and is not open."""


def child(folder, code, memory=MEMORY, timeout_s=20):
    return Child(command(sys.executable, "-c", code), folder, Limits(memory, timeout_s, threads=2, disk=memory))


def says(message):
    """Code that writes one event whose message is the value of an expression."""
    event = f"{{'event': 'progress', 'stage': 'fitting', 'done': 1, 'total': 2, 'message': str({message})}}"
    return f"import json; print(json.dumps({event}), flush=True)"


def ended(folder, code, **limits):
    with child(folder, code, **limits) as running:
        events = [event for event in running if event is not None]
        return events, running.failure()


def test_messages_arrive_in_order_and_other_lines_are_ignored(folder):
    lines = ["noise", "[1]", '{"event": "magic"}', '{"event": "done"}', "x" * 3_000_000]
    (folder / "noise").write_text("\n".join(lines))
    noise = "print(open('noise').read())"
    events, _ = ended(folder, f"{says(1)}; {noise}; {says(2)}")
    assert [(type(event), event.message, event.progress.fraction) for event in events] == [
        (ProgressLine, "1", 0.5),
        (ProgressLine, "2", 0.5),
    ]


def test_a_child_that_closes_its_output_and_keeps_running_is_stopped(folder, monkeypatch):
    monkeypatch.setattr("worker.child.ENDS_WITHIN_S", 0.3)
    _, failure = ended(folder, "import os, time; os.close(1); time.sleep(60)")
    assert isinstance(failure, WorkerCrashed)
    assert "closed its output" in failure.detail


@pytest.fixture
def _no_seccomp(monkeypatch):
    """As on a system without libseccomp: there a child can start others."""
    code = "from worker import sandbox; sandbox.system_calls.pyseccomp = None; sandbox.main()"
    monkeypatch.setattr("worker.process.SANDBOX", (sys.executable, "-c", code))


@pytest.mark.usefixtures("_no_seccomp")
def test_a_grandchild_with_the_output_open_does_not_block_the_job(folder):
    sleeper = "import subprocess, sys, os; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    started = time.monotonic()
    _, failure = ended(folder, f"{sleeper}; os._exit(3)")
    assert "status 3" in failure.detail
    assert time.monotonic() - started < 30  # of the 60 that the grandchild holds it


def test_a_child_that_ended_well_is_a_success_however_late_it_is_read(folder, monkeypatch):
    with child(folder, f"{says(1)}; {says(2)}", timeout_s=5) as running:
        running.begin({})
        os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOWAIT)
        now = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: now() + 100)  # as if this process had been stopped for so long
        assert [event.message for event in running if event is not None] == ["1", "2"]


@pytest.mark.usefixtures("_no_seccomp")
def test_a_grandchild_that_writes_for_ever_ends_with_its_parent(folder):
    writer = "import os; p = os.fork(); [os.write(1, b'x' * 4096 + b'\\n') for _ in iter(int, 1)] if p == 0 else None"
    _, failure = ended(folder, writer)
    assert not isinstance(failure, WorkerTimeout)


def test_a_child_that_ends_without_a_message_has_crashed(folder):
    _, failure = ended(folder, "import os; os._exit(7)")
    assert isinstance(failure, WorkerCrashed)
    assert "status 7" in failure.detail


def test_a_killed_child_is_reported_with_its_signal(folder):
    with child(folder, f"{says(1)}; import time; time.sleep(60)") as running:
        next(event for event in running if event is not None)
        os.kill(running.pid, signal.SIGKILL)
        failure = running.failure()
    assert isinstance(failure, WorkerCrashed)
    assert "SIGKILL" in failure.detail


def test_more_memory_than_allowed_is_out_of_memory(folder):
    _, failure = ended(folder, "b = bytearray(1 << 30)", memory=512 << 20)
    assert isinstance(failure, WorkerOutOfMemory)


def test_a_child_that_exceeds_its_time_is_stopped(folder):
    with (
        pytest.raises(WorkerTimeout, match=r"more than 0\.5 s"),
        child(folder, "while True: pass", timeout_s=0.5) as running,
    ):
        list(running)
    assert not alive(running.pid)


@pytest.mark.usefixtures("_no_seccomp")
def test_processes_that_the_child_started_are_killed_with_it(folder):
    start = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(61)'])"
    with child(folder, f"{start}; {says(1)}; time.sleep(60)") as running:
        next(event for event in running if event is not None)
        assert sleepers(folder)
    deadline = time.monotonic() + 30
    while sleepers(folder) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not sleepers(folder)


def sleepers(folder):
    """Return the processes of other jobs' processes that sleep in a folder."""
    processes = [path for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [path for path in processes if b"sleep(61)" in _read(path / "cmdline") and str(folder) in _cwd(path)]


def _read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _cwd(process):
    try:
        return os.readlink(process / "cwd")
    except OSError:
        return ""


def test_the_environment_contains_no_secret_of_the_worker(folder, monkeypatch):
    monkeypatch.setenv("QUANTD_REDIS_URL", "redis://:secret@host")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    ((event,), _) = ended(folder, "import os; " + says("json.dumps(dict(os.environ))"))
    environment = json.loads(event.message)
    assert "secret" not in event.message
    assert environment["HOME"] == environment["TMPDIR"] == str(folder / "tmp")
    assert (environment["OMP_NUM_THREADS"], environment["OPENBLAS_NUM_THREADS"]) == ("2", "1")


def test_the_child_works_in_its_own_folder_and_can_gain_no_privileges(folder):
    code = "import os; status = open('/proc/self/status').read(); "
    ((event,), _) = ended(folder, code + says(r"(os.getcwd(), 'NoNewPrivs:\t1' in status)"))
    assert event.message == str((str(folder), True))


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize(
    "code",
    [
        "open('out/big', 'wb').truncate(3 << 30)",
        "[open(f'tmp/{n}', 'wb').write(b'x' * (1 << 20)) for n in range(40)]",
        "f = [tempfile.TemporaryFile() for _ in range(40)]; [g.write(b'x' * (1 << 20)) for g in f]",
        "maps = [large(str(n)) for n in range(40)]",
    ],
    ids=["one_file", "many_files", "removed_files", "removed_maps"],
)
def test_more_space_on_disk_than_allowed_is_out_of_disk(folder, monkeypatch, code, in_memory):
    if not in_memory:
        without = "from worker import sandbox; sandbox.namespaces.leave = lambda libc: []; sandbox.main()"
        monkeypatch.setattr("worker.process.SANDBOX", (sys.executable, "-c", without))
    small = Limits(memory=MEMORY, timeout_s=20, threads=2, disk=32 << 20, in_memory=in_memory)
    with Child(command(sys.executable, "-c", f"{LARGE}{code}; time.sleep(60)"), folder, small) as running:
        try:
            list(running)
            failure = running.failure()
        except WorkerOutOfDisk as error:
            failure = error
    assert isinstance(failure, WorkerOutOfDisk)
    assert str(32 << 20) in failure.detail
    assert not alive(running.pid)


def test_a_flood_of_errors_fills_no_disk_and_stops_no_job(folder):
    flood = "import os; [os.write(2, b'x' * 65536) for _ in range(2000)]; os.write(2, b'last'); "
    with child(folder, flood + says(1)) as running:
        assert [event.message for event in running if event is not None] == ["1"]
        assert running.stderr().endswith(b"xlast")
        assert len(running.stderr()) == 65536
        assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) == 0


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z" and os.kill(pid, 0) is None
    except (ProcessLookupError, FileNotFoundError):
        return False
