"""The object store goes away and comes again: callers are told, and the running job waits for it."""

import os
import signal
import time

from tests.e2e.faults.cluster import Cluster, assert_sound
from tests.e2e.faults.conftest import SPEC


def test_a_job_goes_on_while_the_object_store_is_away(swift, tmp_path, monkeypatch, examples):
    for name, value in swift.environment.items():
        monkeypatch.setenv(name, value)
    with Cluster(tmp_path, store_url=swift.url) as cluster:
        model = cluster.upload("model", examples / "digits.onnx")
        job = cluster.submit(model=model, spec=SPEC)
        held = cluster.hold()
        swift.stop()
        os.kill(held, signal.SIGCONT)
        response = cluster.http.get("/readyz")
        assert (response.status_code, response.json()["code"]) == (503, "service.unavailable")
        assert "object store" in response.json()["detail"]
        assert int(response.headers["retry-after"]) > 0
        time.sleep(2)
        assert cluster.job(job)["status"] == "running"
        swift.start()
        cluster.wait_ready()
        assert_sound(cluster, cluster.ended(job))
