"""Webhook deliveries: which ends of jobs are announced, and when an attempt is repeated."""

import asyncio
import json
import secrets
import socket
from collections import Counter

import pytest
import redis
from standardwebhooks import Webhook as Verifier

from jobs.job import Job, Status, Upload, Webhook, new_id, now
from jobs.records import Records
from jobs.redis_keys import WEBHOOKS, job_key
from jobs.valkey import Valkey
from service.webhooks.deliveries import MOST_TO_A_HOST, Deliveries
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


def test_a_batch_is_announced_once_after_its_last_job(http, model):
    with receiving(200) as server:
        body = {"models": [model], "specs": [QUICK, {"weights": {"bits": 4}, **QUICK}]}
        webhook = {"url": f"http://127.0.0.1:{server.port}/", "secret": SECRET}
        batch = http.post("/v1/batches", json={**body, "webhook": webhook}).json()
        http.post(batch["links"]["cancel"])
        ((_, headers, text),) = server.wait(1)
    Verifier(SECRET).verify(text, headers)
    message = json.loads(text)
    assert (message["type"], message["data"]) == ("batch.ended", http.get(batch["links"]["self"]).json())
    assert (headers["webhook-id"], message["timestamp"]) == (f"msg_{batch['id']}", message["data"]["finished_at"])
    again = http.post("/v1/batches", json={**body, "webhook": {"url": "http://127.0.0.2/"}})
    assert (again.status_code, again.json()["errors"][0]["pointer"]) == (400, "/webhook/url")


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
def valkey(tmp_path_factory):
    server = Valkey(tmp_path_factory.mktemp("records"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def records(valkey):
    return Records(valkey.url)


@pytest.fixture
def ended(records):
    """Store a job with a webhook at this port, and cancel it."""

    def make(port, tenant="t", host="127.0.0.1"):
        upload = Upload(
            id=new_id("model"), tenant=tenant, key="k", sha256=secrets.token_hex(32), size=1, filename=None,
            created_at=now(), format="onnx",
        )  # fmt: skip
        records.add_upload("model", upload)
        webhook = Webhook(url=f"http://{host}:{port}/", secret=SECRET)
        job = Job(
            id=new_id("job"), tenant=tenant, status=Status.QUEUED, model=upload.id, spec={}, created_at=now(),
            webhook=webhook,
        )  # fmt: skip
        records.create_job(job)
        assert job.id not in [due.id for due in records.due_webhooks()]
        records.cancel(job)
        return job

    return make


def attempts(records, schedule, count):
    """Return the number of deliveries that each of `count` rounds attempted."""

    async def attempt():
        begun = await Deliveries(records, ["127.0.0.1"], schedule).begin_due()
        await asyncio.gather(*begun)
        return len(begun)

    return [asyncio.run(attempt()) for _ in range(count)]


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


def test_receivers_that_hang_do_not_delay_those_of_another_tenant(records, ended):
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent, receiving(200) as receiver:
        slow = [ended(silent.getsockname()[1], "slow") for _ in range(MOST_TO_A_HOST + 3)]
        quick = ended(receiver.port, "quick", "localhost")

        async def deliver_quickly():
            deliveries = Deliveries(records, ["127.0.0.1", "localhost"])
            begun = await deliveries.begin_due()
            await asyncio.to_thread(receiver.wait, 1)
            await asyncio.wait(begun, return_when=asyncio.FIRST_COMPLETED)
            await deliveries.stop()

        asyncio.run(deliver_quickly())
        assert records.webhook_attempts(quick.id) == (1, None)
        assert Counter(records.webhook_attempts(job.id)[0] for job in slow) == {1: MOST_TO_A_HOST, 0: 3}
        for job in slow:
            records.drop_webhook(job.id)


async def odd_lookup(url, allowed):
    """Look up a host as a library with a fault would."""
    return "127.0.0.1" if url.host == "127.0.0.1" else 1 / 0


def test_a_host_that_no_lookup_takes_ends_its_own_delivery_alone(records, ended, monkeypatch):
    monkeypatch.setattr("jobs.remote.requests.checked_address", odd_lookup)
    with receiving(200) as receiver:
        strange = ended(80, host="localhost")
        other = ended(receiver.port)
        assert attempts(records, (0,), 1) == [2]
        assert (len(receiver.got), records.webhook_attempts(other.id)[1]) == (1, None)
        assert records.webhook_attempts(strange.id) == (1, None)


def test_a_record_that_cannot_be_read_is_set_aside(records, ended, valkey):
    with receiving(200) as receiver, redis.Redis.from_url(valkey.url, decode_responses=True) as store:
        broken, other = ended(receiver.port), ended(receiver.port)
        store.hset(job_key(broken.id), "status", '"neither"')
        assert attempts(records, (0, 0), 1) == [1]
        assert f"msg_{other.id}" == receiver.got[0][1]["webhook-id"]
        assert store.zscore(WEBHOOKS, broken.id) is None
