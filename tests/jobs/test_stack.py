"""The embedded service starts completely or not at all, keeps its data, and leaves no process running."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from jobs.stack import Stack, StackFailed
from tests.specs import QUICK


def gone(pids, within_s=5):
    deadline = time.monotonic() + within_s
    while any(running(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(running(pid) for pid in pids)


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_data_survives_a_restart_and_a_dead_process_is_reported(tmp_path, examples):
    data = (examples / "digits.onnx").read_bytes()
    with Stack(tmp_path) as first:
        model = httpx.post(f"{first.url}/v1/models", content=data).json()
        pids = [first.pid(name) for name in ("valkey", "gateway", "worker")]
        with pytest.raises(StackFailed, match="another service uses"), Stack(tmp_path):
            pass
    assert gone(pids)
    with Stack(tmp_path) as second:
        assert httpx.get(f"{second.url}/v1/models/{model['id']}").json() == model
        body = {"model": model["id"], "spec": QUICK}
        job = httpx.post(f"{second.url}/v1/jobs", json=body, headers={"Prefer": "wait=60"}, timeout=70).json()
        assert job["status"] == "succeeded"
        os.kill(second.pid("worker"), signal.SIGKILL)
        with pytest.raises(StackFailed, match="the worker ended with status -9"):
            second.wait()


def test_processes_end_with_a_parent_that_is_killed(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from jobs.stack import Stack\n"
        "with Stack(Path(sys.argv[1])) as stack:\n"
        "    print(*(stack.pid(name) for name in ('valkey', 'gateway', 'worker')), flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True)
    with parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 3
        parent.kill()
    assert gone(pids)


def test_a_port_in_use_is_reported_before_anything_starts(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(StackFailed, match=f"cannot listen on 127.0.0.1, port {port}"):
            Stack(tmp_path / "state", port=port)
    assert not (tmp_path / "state").exists()


def test_a_gateway_that_refuses_to_start_is_reported_with_its_reason(tmp_path):
    with pytest.raises(StackFailed, match="is refused on"), Stack(tmp_path, host="0.0.0.0"):
        pass
