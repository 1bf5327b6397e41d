"""Ctrl-C and SIGTERM, sent to a real process of the command: the job is cancelled, and its id is said."""

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from quantd.api import Client
from quantd.errors import Interrupted
from quantd.following import run_to_end
from tests import command
from tests.specs import QUICK


@pytest.fixture
def started(stack, examples, tmp_path):
    """Start `quantd` in the background; a process that is still there after the test is killed."""
    with contextlib.ExitStack() as processes:

        def start(*arguments):
            process = processes.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "quantd", *map(str, arguments)], stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE, text=True, env={**os.environ, "QUANTD_URL": stack.url},
                )
            )  # fmt: skip
            processes.callback(process.kill)
            return process

        yield start


@pytest.fixture
def new_model(examples, tmp_path):
    """A model that no job had before, so that no result is reused."""
    path = tmp_path / "digits.onnx"
    note = os.urandom(16).hex().encode()
    path.write_bytes((examples / "digits.onnx").read_bytes() + b"\x32" + bytes([len(note)]) + note)
    return path


@pytest.fixture
def job_arguments(examples, new_model, tmp_path):
    """A job that takes some seconds."""
    data = ["--calibration", examples / "digits_calibration.npz", "--evaluation", examples / "digits_evaluation.npz"]
    spec = {"preset": "codebook4", "weights": {"grid": "kmeans"}, "equalization": "auto", "bias_correction": "auto",
            "activations": {"clipping": "auto"}}  # fmt: skip
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    return ["quantize", new_model, "--spec", tmp_path / "spec.json", *data, "-o", tmp_path / "out.onnx"]


def job_id_of(process):
    """Return the id that the process prints first."""
    label, job_id = process.stdout.readline().split()
    assert label == "job"
    return job_id


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_job_and_says_its_id(started, job_arguments, http, number, tmp_path):
    process = started(*job_arguments)
    job_id = job_id_of(process)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert f"job {job_id} was cancelled" in err
    job = http.get(f"/v1/jobs/{job_id}", headers={"Prefer": "wait=20"}).json()
    assert job["status"] == "cancelled"
    assert not (tmp_path / "out.onnx").exists()


def test_a_second_signal_ends_the_command_at_once(started, job_arguments, stack, http):
    process = started(*job_arguments)
    job_id = job_id_of(process)
    os.kill(stack.pid("gateway"), signal.SIGSTOP)  # the cancellation is not answered
    try:
        process.send_signal(signal.SIGINT)
        time.sleep(1)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    finally:
        os.kill(stack.pid("gateway"), signal.SIGCONT)
    assert process.returncode == 130
    assert f"job {job_id} may still run" in err
    http.post(f"/v1/jobs/{job_id}/cancel")


def test_a_watched_job_goes_on_after_a_signal(started, job_arguments, stack, http):
    job_id = command.quantd(*job_arguments[:-2], "--detach", QUANTD_URL=stack.url).stdout.strip()
    process = started("jobs", "watch", job_id)
    assert job_id_of(process) == job_id
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    status = http.get(f"/v1/jobs/{job_id}").json()["status"]
    http.post(f"/v1/jobs/{job_id}/cancel")
    assert (process.returncode, status in ("queued", "running", "succeeded")) == (130, True)
    assert f"job {job_id} goes on" in err


def test_a_signal_ends_the_process_of_a_local_job(started, job_arguments):
    process = started(*job_arguments, "--local")
    child = child_of(process.pid)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 143
    assert "the job was stopped" in err
    assert not Path(f"/proc/{child}").exists()


def test_a_job_whose_submission_was_interrupted_is_cancelled(stack, uploaded, http):
    key = str(uuid.uuid4())
    answers = []
    with Client(stack.url) as client:

        def post():
            job = client.quantize(uploaded["model"], QUICK, tags={"interrupted": key}, idempotency_key=key)
            if not answers:  # the first answer does not arrive
                answers.append(job)
                raise Interrupted(signal.SIGINT)
            return job

        with pytest.raises(Interrupted) as raised:
            run_to_end(post, None, quiet=True)
    (job,) = http.get(f"/v1/jobs?tag=interrupted:{key}").json()["items"]
    assert raised.value.job_id == job["id"]
    assert job["id"] in str(raised.value)


def test_a_job_beyond_its_time_limit_is_cancelled_with_its_own_message(stack, job_arguments, http):
    quantd = functools.partial(command.quantd, QUANTD_URL=stack.url)
    result = quantd(*job_arguments, "--timeout", "0.2")
    assert result.returncode == 1
    job_id = result.stdout.split()[1]
    assert f"job {job_id} did not end within 0.2 s (--timeout) and was cancelled" in result.stderr
    assert http.get(f"/v1/jobs/{job_id}", headers={"Prefer": "wait=20"}).json()["status"] == "cancelled"


def test_a_local_job_beyond_its_time_limit_is_stopped(job_arguments):
    result = command.quantd(*job_arguments, "--timeout", "0.2", "--local")
    assert (result.returncode, "did not end within 0.2 s" in result.stderr) == (1, True)


def child_of(pid):
    """Return the process id of the first child, as soon as there is one."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if text := children.read_text().split():
            return int(text[0])
        time.sleep(0.05)
    raise AssertionError("the command started no process")
