"""The process of a job: its events in JSON lines, its last event and its exit status."""

import json
import os
import subprocess
import sys

import pytest

from quant.job_process import load
from quant.outcome.stages import Stage


@pytest.fixture
def run(tmp_path, examples):
    """Run `python -m quant` on one job; return the process and its events."""

    def start(**job):
        defaults = {
            "model": str(examples / "digits.onnx"), "name": "digits.onnx",
            "spec": {"preset": "int8-weights"}, "out": str(tmp_path / "out"),
        }  # fmt: skip
        process = subprocess.run(
            [sys.executable, "-m", "quant"],
            input=json.dumps(defaults | job) + "\n",
            capture_output=True,
            text=True,
            env={**os.environ, "QUANTD_SANDBOX": "landlock seccomp"},
        )
        return process, [json.loads(line) for line in process.stdout.splitlines()]

    return start


def test_a_job_reports_progress_and_ends_with_its_outcome(run, tmp_path, examples):
    process, events = run(evaluation=str(examples / "digits_evaluation.npz"))
    assert process.returncode == 0, process.stderr
    *others, last = events
    stages = list(dict.fromkeys(event["stage"] for event in others if event["event"] == "progress"))
    assert stages == [
        Stage.LOADING, Stage.NORMALISING, Stage.FITTING, Stage.EXPORTING, Stage.EVALUATING, Stage.STORING
    ]  # fmt: skip
    for event in others:
        assert set(event) in ({"event", "stage", "done", "total", "message"}, {"event", "level", "message"})
    assert set(last) == {"event", "summary", "verdict", "gates", "timings", "latency", "comparison"}
    assert last["event"] == "done"
    assert last["summary"]["quantized_layers"] == len(last["timings"]) == 7
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["isolation"] == ["landlock", "seccomp"]
    assert set(manifest["inputs"]) == {"model", "evaluation"}


def test_a_refused_job_ends_with_its_error(run):
    process, events = run(spec={"preset": "int8"})
    assert process.returncode == 1
    assert events[-1]["event"] == "error"
    assert events[-1]["code"] == "spec.data_required"
    assert events[-1]["errors"][0]["pointer"].startswith("/")
    assert set(events[-1]) == {"event", "code", "title", "detail", "errors"}


def test_a_process_without_a_job_ends_quietly():
    process = subprocess.run([sys.executable, "-m", "quant"], input="", capture_output=True, text=True)
    assert (process.returncode, process.stdout) == (0, "")


def test_what_a_library_prints_is_no_event():
    code = """
import os
from quant.job_process import _EventWriter
events = _EventWriter()
print('{"event": "done"}', flush=True)
os.system("echo printed by a child")
events.log("info", "an event")
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [json.loads(line) for line in process.stdout.splitlines()] == [
        {"event": "log", "level": "info", "message": "an event"}
    ]
    assert "printed by a child" in process.stderr
    assert '{"event": "done"}' in process.stderr


def test_load_can_be_repeated(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # restored afterwards
    load()
    load()
