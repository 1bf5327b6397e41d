"""A store that is unavailable for a while: callers get a 503 with Retry-After, and the running job continues.

QUANTD_AWAY_S=60 stops the stores for a minute.
"""

import contextlib
import os
import signal
import time

import pytest

from tests.e2e.faults.cluster import assert_sound, until
from tests.e2e.faults.conftest import SPEC

AWAY_S = float(os.environ.get("QUANTD_AWAY_S", "2"))


@contextlib.contextmanager
def stopped(swift):
    """Stop the object store that other tests use, too."""
    swift.stop()
    try:
        yield
    finally:
        swift.start()


def assert_unavailable_for(cluster, seconds, what):
    """Check for some seconds that /readyz is 503 and names the store; for one second its answer may be an old one."""
    until(lambda: cluster.http.get("/readyz").status_code == 503, "a 503", within_s=5)
    deadline = time.monotonic() + seconds
    while True:
        response = cluster.http.get("/readyz")
        assert (response.status_code, response.json()["code"]) == (503, "service.unavailable")
        assert what in response.json()["detail"]
        assert int(response.headers["retry-after"]) > 0
        if time.monotonic() > deadline:
            return
        time.sleep(0.5)


def test_a_job_survives_an_unavailable_object_store(swift, stored, examples):
    model = stored.upload("model", examples / "digits.onnx")
    job = stored.submit(model=model, spec=SPEC)
    held = stored.hold()
    with stopped(swift):
        os.kill(held, signal.SIGCONT)
        assert_unavailable_for(stored, AWAY_S, "object store")
        assert stored.job(job)["status"] == "running"
    stored.wait_ready()
    assert_sound(stored, stored.ended(job))


def test_a_job_survives_an_unavailable_record_store(patient, examples):
    model = patient.upload("model", examples / "digits.onnx")
    job = patient.submit(model=model, spec=SPEC)
    held = patient.hold()
    patient.kill("valkey")
    assert_unavailable_for(patient, AWAY_S, "record store")
    os.kill(held, signal.SIGCONT)
    patient.start("valkey")
    patient.wait_ready()
    assert_sound(patient, patient.ended(job))


REFUSALS = {
    "READONLY": (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    "OOM": (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
}
"""Commands after which the record store takes no writes, and those that end this."""


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_worker_survives_messages_that_it_cannot_acknowledge(cluster, model, refusal):
    begin, end = REFUSALS[refusal]
    worker = cluster.processes["worker1"]
    worker.send_signal(signal.SIGSTOP)
    job = cluster.submit(model=model, spec=SPEC)  # its message is on the way to the worker
    cluster.redis().execute_command(*begin)
    worker.send_signal(signal.SIGCONT)
    time.sleep(AWAY_S)
    assert worker.poll() is None
    cluster.redis().execute_command(*end)
    cluster.wait_ready()
    assert_sound(cluster, cluster.ended(job))


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_job_survives_a_record_store_that_takes_no_writes(patient, examples, refusal):
    begin, end = REFUSALS[refusal]
    model = patient.upload("model", examples / "digits.onnx")
    job = patient.submit(model=model, spec=SPEC)
    held = patient.hold()
    patient.redis().execute_command(*begin)
    time.sleep(1)  # an answer of /readyz is a second old at most
    assert_unavailable_for(patient, AWAY_S, "record store")
    refused = patient.http.post("/v1/jobs", json={"model": model, "spec": {"preset": "int8-weights"}})
    assert (refused.status_code, refused.json()["code"]) == (503, "service.unavailable")
    assert patient.http.get("/livez").status_code == 200
    os.kill(held, signal.SIGCONT)
    time.sleep(AWAY_S)
    assert patient.processes["worker1"].poll() is None
    patient.redis().execute_command(*end)
    patient.wait_ready()
    assert_sound(patient, patient.ended(job))
