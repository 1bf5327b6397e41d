"""A job is cancelled, killed, timed out and deleted over the real service, and its worker goes on."""

import contextlib
import json
import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from jobs.stack import Stack
from tests.specs import QUICK, QUICK_WEIGHTS

SPEC = {"preset": "int8", "weights": QUICK_WEIGHTS}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A service of its own: here its worker is made to wait."""
    with Stack(tmp_path_factory.mktemp("control")) as stack:
        yield stack


@pytest.fixture(scope="module")
def client(own):
    with httpx.Client(base_url=own.url, timeout=70) as client:
        yield client


@pytest.fixture(scope="module")
def ids(client, examples):
    calibration = (examples / "digits_calibration.npz").read_bytes()
    return {
        "model": client.post("/v1/models", content=(examples / "digits.onnx").read_bytes()).json()["id"],
        "calibration": client.post("/v1/datasets", content=calibration).json()["id"],
    }


def submit(client, ids):
    """A job that is run, even though its like was run before."""
    return client.post("/v1/jobs", json={"spec": SPEC, **ids}, headers={"Cache-Control": "no-cache"}).json()


def status(client, job):
    return client.get(job["links"]["self"]).json()["status"]


def child_of(pid, within_s=10):
    """The process of the job that a worker is at, as soon as it has its model (others wait for theirs)."""
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


def test_a_running_job_holds_what_it_uses_and_stops_when_told(own, client, ids):
    running = submit(client, ids)
    os.kill(child_of(own.pid("worker")), signal.SIGSTOP)
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


def test_a_cancel_changes_no_ended_job(client, ids):
    job = ended(client, submit(client, ids))
    assert client.post(job["links"]["cancel"]).json() == job


def test_a_job_survives_a_kill_of_its_process(own, client, ids):
    job = submit(client, ids)
    os.kill(child_of(own.pid("worker")), signal.SIGKILL)
    job = ended(client, job)
    assert (job["status"], job["attempt"], job["error"]) == ("succeeded", 2, None)


@pytest.mark.parametrize(
    ("settings", "code", "detail"),
    [
        ({"QUANTD_JOB_TIMEOUT_S": "0.02"}, "worker.timeout", "0.02 s"),
        ({"QUANTD_JOB_MEMORY_BYTES": str(8 << 20)}, "worker.out_of_memory", f"{8 << 20} bytes"),
    ],
)
def test_a_job_over_its_limits_fails_with_the_limit(tmp_path, examples, settings, code, detail):
    with Stack(tmp_path, settings=settings) as small, httpx.Client(base_url=small.url, timeout=70) as client:
        model = client.post("/v1/models", content=(examples / "digits.onnx").read_bytes()).json()["id"]
        job = ended(client, submit(client, {"model": model, "spec": QUICK}))
        assert (job["status"], job["error"]["code"]) == ("failed", code)
        assert detail in job["error"]["detail"]


def test_the_log_tells_each_job_in_one_line_of_json(own, client, ids):
    job = ended(client, submit(client, ids))
    log = own.folder / "worker.log"
    deadline = time.monotonic() + 30
    while log.read_text().count(job["id"]) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)  # the line follows the record
    told = [json.loads(line) for line in log.read_text().splitlines() if job["id"] in line]
    assert [(line["event"], line["tenant"]) for line in told] == [("job started", "default"), ("job ended", "default")]


def test_what_is_used_no_more_is_deleted_with_its_bytes(own, client, ids):
    before = [path for path in (own.folder / "store").rglob("*") if path.is_file()]
    assert before
    for job in client.get("/v1/jobs", params={"limit": 100}).json()["items"]:
        assert client.delete(job["links"]["self"]).status_code == 204
    assert client.delete(f"/v1/models/{ids['model']}").status_code == 204
    assert client.delete(f"/v1/datasets/{ids['calibration']}").status_code == 204
    assert [path for path in (own.folder / "store").rglob("*") if path.is_file()] == []
