"""`quantd gc` and `quantd reindex` on an embedded service that is running, and on one that is not."""

import json
import shutil
import time

import httpx

from jobs.stack import Stack
from tests import command
from tests.specs import QUICK


def quantd(*arguments):
    result = command.quantd(*arguments)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_a_lost_redis_is_restored_and_expired_records_are_deleted(tmp_path, examples):
    data = (examples / "digits.onnx").read_bytes()
    where = ("--state-dir", tmp_path, "--json")
    with Stack(tmp_path) as stack, httpx.Client(base_url=stack.url, timeout=70) as http:
        model = http.post("/v1/models", content=data).json()
        body = {"model": model["id"], "spec": QUICK, "tags": {"a": "b"}}
        job = http.post("/v1/jobs", json=body, headers={"Prefer": "wait=60"}).json()
        assert job["status"] == "succeeded"
        made = http.get(f"{job['links']['artifacts']}/model.onnx").content
        assert quantd("gc", *where) == {"jobs": 0, "uploads": 0, "blobs": 0}
        record = tmp_path / "store" / "default" / "jobs" / job["id"] / "record.json"
        deadline = time.monotonic() + 20
        while json.loads(record.read_text())["status"] != "succeeded" and time.monotonic() < deadline:
            time.sleep(0.1)

    shutil.rmtree(tmp_path / "valkey")
    assert quantd("reindex", *where) == {
        "keys": 0, "uploads": 1, "jobs": 1, "queued": 0, "removed": 0, "unreadable": 0, "batches": 0,
    }  # fmt: skip

    with Stack(tmp_path) as stack, httpx.Client(base_url=stack.url, timeout=70) as http:
        assert http.get(job["links"]["self"]).json() == job
        assert http.get("/v1/models").json()["items"] == [model]
        assert [item["id"] for item in http.get("/v1/jobs?tag=a:b&status=succeeded").json()["items"]] == [job["id"]]
        assert http.get(f"{job['links']['artifacts']}/model.onnx").content == made
        again = http.post("/v1/jobs", json=body).json()
        assert (again["cached"], again["status"]) == (True, "succeeded")
        assert quantd("gc", "--days", "0", *where) == {"jobs": 2, "uploads": 1, "blobs": 0}
        assert http.get("/v1/jobs").json()["items"] == http.get("/v1/models").json()["items"] == []
    assert [path for path in (tmp_path / "store" / "default").rglob("*") if path.is_file()] == []
