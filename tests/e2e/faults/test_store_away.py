"""The object store goes away and comes again: callers are told, and the running job waits for it."""

import os
import signal
import time

import pytest

from tests.e2e.faults.cluster import Cluster, assert_sound
from tests.e2e.faults.conftest import SPEC
from tests.swift import Swift


@pytest.fixture
def store(tmp_path):
    """A store of its own: it is stopped here."""
    with Swift(tmp_path / "swift") as server:
        yield server


def test_a_job_goes_on_while_the_object_store_is_away(store, tmp_path, monkeypatch, examples):
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    with Cluster(tmp_path, store_url=store.url) as cluster:
        model = cluster.upload("model", examples / "digits.onnx")
        job = cluster.submit(model=model, spec=SPEC)
        held = cluster.hold()
        store.stop()
        os.kill(held, signal.SIGCONT)
        response = cluster.http.get("/readyz")
        assert (response.status_code, response.json()["code"]) == (503, "service.unavailable")
        assert "object store" in response.json()["detail"]
        assert int(response.headers["retry-after"]) > 0
        time.sleep(2)
        assert cluster.job(job)["status"] == "running"
        store.start()
        cluster.wait_ready()
        assert_sound(cluster, cluster.ended(job))
