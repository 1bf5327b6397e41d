"""Processes of the stack are stopped, and killed if they do not stop."""

import sys

from jobs.process import start, stop


def test_a_process_writes_its_log_and_is_stopped(tmp_path):
    code = "import time; print('ready', flush=True); time.sleep(60)"
    process = start([sys.executable, "-c", code], tmp_path / "log")
    while not (tmp_path / "log").read_text():
        pass
    stop(process)
    assert process.returncode != 0
    assert (tmp_path / "log").read_text() == "ready\n"


def test_a_process_that_does_not_stop_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("jobs.process.STOPS_WITHIN_S", 0.2)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    process = start([sys.executable, "-c", code], tmp_path / "log")
    while not (tmp_path / "log").read_text():
        pass
    stop(process)
    assert process.returncode == -9
