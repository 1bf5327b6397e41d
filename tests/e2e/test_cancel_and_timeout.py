"""Jobs that are cancelled, killed, timed out or deleted, over HTTP; their worker continues."""

import contextlib
import json
import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from jobs.stack import Stack
from tests.specs import QUICK_WEIGHTS

SPEC = {"preset": "int8", "weights": QUICK_WEIGHTS}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A separate service, because these tests stop its worker."""
    with Stack(tmp_path_factory.mktemp("control")) as stack:
        yield stack


@pytest.fixture(scope="module")
def client(service):
    with httpx.Client(base_url=service.url, timeout=70) as client:
        yield client


@pytest.fixture(scope="module")
def ids(client, examples):
    calibration = (examples / "digits_calibration.npz").read_bytes()
    return {
        "model": client.post("/v1/models", content=(examples / "digits.onnx").read_bytes()).json()["id"],
        "calibration": client.post("/v1/datasets", content=calibration).json()["id"],
    }


def submit(client, ids):
    """Submit a job that does not use a cached result."""
    return client.post("/v1/jobs", json={"spec": SPEC, **ids}, headers={"Cache-Control": "no-cache"}).json()


def status(client, job):
    return client.get(job["links"]["self"]).json()["status"]


def child_of(pid, within_s=10):
    """Return the process of the running job, as soon as its folder has the model; spare processes have none."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        for child in children(pid):
            if Path(f"/proc/{child}/cwd/model").exists():
                return child
        time.sleep(0.002)
    raise TimeoutError("the worker started no child")


def children(pid):
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            yield from map(int, (task / "children").read_text().split())


def ended(client, job):
    return client.get(job["links"]["self"], headers={"Prefer": "wait=60"}).json()


def test_a_running_job_protects_its_inputs_and_can_be_cancelled(service, client, ids):
    running = submit(client, ids)
    os.kill(child_of(service.pid("worker")), signal.SIGSTOP)
    queued = submit(client, ids)

    assert (status(client, running), status(client, queued)) == ("running", "queued")
    for path in (f"/v1/models/{ids['model']}", f"/v1/datasets/{ids['calibration']}", running["links"]["self"]):
        refused = client.delete(path)
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
        assert client.get(path).status_code == 200

    assert client.post(queued["links"]["cancel"]).json()["status"] == "cancelled"
    stopping = client.post(running["links"]["cancel"])
    assert (stopping.status_code, stopping.headers["location"]) == (202, running["links"]["self"])
    assert int(stopping.headers["retry-after"]) > 0
    assert ended(client, running)["status"] == "cancelled"

    assert ended(client, submit(client, ids))["status"] == "succeeded"
    never = client.get(queued["links"]["self"]).json()
    assert (never["status"], never["attempt"], never["started_at"]) == ("cancelled", 0, None)


def test_a_cancel_does_not_change_an_ended_job(client, ids):
    job = ended(client, submit(client, ids))
    assert client.post(job["links"]["cancel"]).json() == job


def test_a_job_survives_a_kill_of_its_process(service, client, ids):
    job = submit(client, ids)
    os.kill(child_of(service.pid("worker")), signal.SIGKILL)
    job = ended(client, job)
    assert (job["status"], job["attempt"], job["error"]) == ("succeeded", 2, None)


@pytest.mark.parametrize(
    ("settings", "code", "detail"),
    [
        ({"QUANTD_JOB_TIMEOUT_S": "0.02"}, "worker.timeout", "0.02 s"),
        ({"QUANTD_JOB_MEMORY_BYTES": str(256 << 20)}, "worker.out_of_memory", f"{256 << 20} bytes"),
    ],
)
def test_a_job_over_a_limit_fails_and_names_the_limit(tmp_path, examples, settings, code, detail):
    with Stack(tmp_path, settings=settings) as small, httpx.Client(base_url=small.url, timeout=70) as client:
        model = client.post("/v1/models", content=(examples / "digits.onnx").read_bytes()).json()["id"]
        job = ended(client, submit(client, {"model": model, "spec": {"preset": "int8-weights"}}))
        assert (job["status"], job["error"]["code"]) == ("failed", code)
        assert detail in job["error"]["detail"]


def test_the_worker_logs_the_start_and_the_end_of_a_job(service, client, ids):
    job = ended(client, submit(client, ids))
    log = service.folder / "worker.log"
    deadline = time.monotonic() + 30
    while log.read_text().count(job["id"]) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)  # the line follows the record
    lines = [json.loads(line) for line in log.read_text().splitlines() if job["id"] in line]
    assert [(line["event"], line["tenant"]) for line in lines] == [("job started", "default"), ("job ended", "default")]


def test_unused_objects_are_deleted_with_their_bytes(service, client, ids):
    before = [path for path in (service.folder / "store" / "default").rglob("*") if path.is_file()]
    assert before
    for job in client.get("/v1/jobs", params={"limit": 100}).json()["items"]:
        assert client.delete(job["links"]["self"]).status_code == 204
    assert client.delete(f"/v1/models/{ids['model']}").status_code == 204
    assert client.delete(f"/v1/datasets/{ids['calibration']}").status_code == 204
    assert [path for path in (service.folder / "store" / "default").rglob("*") if path.is_file()] == []
