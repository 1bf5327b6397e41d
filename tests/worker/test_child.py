"""A job's process is limited, read line by line, and killed as a group."""

import os
import sys
import time
from pathlib import Path

import pytest

from jobs.errors import WorkerCrashed, WorkerOutOfMemory, WorkerTimeout
from worker.child import Child

MEMORY = 2 << 30


def child(tmp_path, code, memory=MEMORY, timeout_s=20):
    return Child([sys.executable, "-c", code], tmp_path, memory, timeout_s)


def ended(tmp_path, code, **limits):
    with child(tmp_path, code, **limits) as running:
        events = [event for event in running if event is not None]
        return events, running.failure()


def test_events_come_in_order_and_other_lines_do_not_count(tmp_path):
    code = 'print(\'noise\'); print(\'{"event": "progress", "done": 1}\'); print(\'[1]\'); print(\'{"event": "done"}\')'
    events, _ = ended(tmp_path, code)
    assert events == [{"event": "progress", "done": 1}, {"event": "done"}]


def test_a_child_that_ends_without_a_word_has_crashed(tmp_path):
    _, failure = ended(tmp_path, "import os; os._exit(7)")
    assert isinstance(failure, WorkerCrashed)
    assert "status 7" in failure.detail


def test_a_killed_child_has_crashed_by_its_signal(tmp_path):
    _, failure = ended(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert isinstance(failure, WorkerCrashed)
    assert "SIGKILL" in failure.detail


def test_more_memory_than_allowed_is_out_of_memory(tmp_path):
    _, failure = ended(tmp_path, "b = bytearray(1 << 30)", memory=512 << 20)
    assert isinstance(failure, WorkerOutOfMemory)


def test_a_child_over_its_time_is_stopped(tmp_path):
    with (
        pytest.raises(WorkerTimeout, match=r"more than 0\.5 s"),
        child(tmp_path, "while True: pass", timeout_s=0.5) as running,
    ):
        list(running)
    assert not alive(running.pid)


def test_what_the_child_started_is_killed_with_it(tmp_path):
    code = (
        "import subprocess, sys, json; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        "print(json.dumps({'event': 'started', 'pid': p.pid}), flush=True); import time; time.sleep(60)"
    )
    with child(tmp_path, code) as running:
        grandchild = next(event for event in running if event is not None)["pid"]
        assert alive(grandchild)
    deadline = time.monotonic() + 5
    while alive(grandchild) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(grandchild)


def test_the_environment_holds_nothing_of_the_workers(tmp_path, monkeypatch):
    monkeypatch.setenv("QUANTD_REDIS_URL", "redis://:secret@host")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    code = "import os, json; print(json.dumps({'event': 'env', **os.environ}))"
    ((event,), _) = ended(tmp_path, code)
    assert "secret" not in str(event)
    assert event["HOME"] == event["TMPDIR"] == str(tmp_path)


def test_the_child_works_in_its_own_folder_and_can_gain_no_privileges(tmp_path):
    code = (
        "import os, json; status = open('/proc/self/status').read();"
        "print(json.dumps({'event': 'x', 'cwd': os.getcwd(), 'nnp': 'NoNewPrivs:\\t1' in status}))"
    )
    ((event,), _) = ended(tmp_path, code)
    assert (event["cwd"], event["nnp"]) == (str(tmp_path), True)


def test_a_file_cannot_grow_beyond_the_limit(tmp_path):
    _, failure = ended(tmp_path, "f = open('big', 'wb'); f.truncate(3 << 30)")
    assert isinstance(failure, WorkerCrashed)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z" and os.kill(pid, 0) is None
    except (ProcessLookupError, FileNotFoundError):
        return False
