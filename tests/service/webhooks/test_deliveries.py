"""Webhook deliveries: which ends of jobs are announced, and when an attempt is repeated."""

import asyncio
import json
import secrets

import pytest
from standardwebhooks import Webhook as Verifier

from jobs.job import Job, Status, Upload, Webhook, new_id, now
from jobs.records import Records
from jobs.valkey import Valkey
from service.webhooks.deliveries import Deliveries
from tests.receiver import receiving
from tests.specs import QUICK

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_a_cached_result_a_failure_and_a_cancel_are_delivered(http, submit, model, examples):
    cut = http.post("/v1/models", content=(examples / "digits.onnx").read_bytes()[:-900]).json()["id"]
    http.post("/v1/jobs", json={"model": model, "spec": QUICK}, headers={"Prefer": "wait=60"})
    with receiving(200) as server:
        url = f"http://127.0.0.1:{server.port}/"
        again, failed = submit(model, url).json(), submit(cut, url).json()
        cancelled = submit(cut, url).json()
        http.post(cancelled["links"]["cancel"])
        requests = server.wait(3)
    types = {json.loads(body)["data"]["id"]: json.loads(body)["type"] for _, _, body in requests}
    assert again["cached"]
    assert types[again["id"]] == "job.succeeded"
    assert types[failed["id"]] == "job.failed"
    assert types[cancelled["id"]] in ("job.cancelled", "job.failed")
    assert not [headers for _, headers, _ in requests if "webhook-signature" in headers]


@pytest.mark.parametrize("status", [410, 302])
def test_a_redirect_is_not_followed_and_gone_ends_the_delivery(submit, model, due_in, status):
    with (
        receiving(200) as other,
        receiving(status, headers=[("Location", f"http://127.0.0.1:{other.port}/")]) as server,
    ):
        job = submit(model, f"http://127.0.0.1:{server.port}/").json()
        server.wait(1)
        assert (due_in(job) is None) == (status == 410)
        assert (len(server.got), other.got) == (1, [])


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    server = Valkey(tmp_path_factory.mktemp("records"))
    yield Records(server.url)
    server.stop()


@pytest.fixture
def ended(records):
    """Store a job with a webhook at this port, and cancel it."""

    def make(port):
        upload = Upload(
            id=new_id("model"), tenant="t", key="k", sha256=secrets.token_hex(32), size=1, filename=None,
            created_at=now(), format="onnx",
        )  # fmt: skip
        records.add_upload("model", upload)
        webhook = Webhook(url=f"http://127.0.0.1:{port}/", secret=SECRET)
        job = Job(
            id=new_id("job"), tenant="t", status=Status.QUEUED, model=upload.id, spec={}, created_at=now(),
            webhook=webhook,
        )  # fmt: skip
        records.create_job(job)
        assert asyncio.run(Deliveries(records, ["127.0.0.1"]).send_due()) == 0
        records.cancel(job)

    return make


def attempts(records, schedule, count):
    """Return the number of deliveries that each of `count` rounds attempted."""
    deliveries = Deliveries(records, ["127.0.0.1"], schedule)
    return [asyncio.run(deliveries.send_due()) for _ in range(count)]


def test_a_failed_delivery_is_repeated_with_the_same_message(records, ended):
    with receiving(500, 200) as receiver:
        ended(receiver.port)
        assert attempts(records, (0, 0, 0), 3) == [1, 1, 0]
        first, second = receiver.got
    assert first[2] == second[2]
    assert first[1]["webhook-id"] == second[1]["webhook-id"]
    Verifier(SECRET).verify(second[2], second[1])


def test_a_delivery_is_given_up_after_the_last_attempt(records, ended):
    with receiving(503) as receiver:
        ended(receiver.port)
        assert attempts(records, (0, 0, 0), 5) == [1, 1, 1, 0, 0]
        assert len(receiver.got) == 3


def test_the_next_attempt_waits_for_the_schedule(records, ended):
    with receiving(503) as receiver:
        ended(receiver.port)
        assert attempts(records, (0, 60), 2) == [1, 0]
