"""State changes of a job are compare-and-set operations that append their own event."""

import json
import time

import pytest
import redis

from jobs.errors import Conflict, IdempotencyMismatch, NotFound, TooManyJobs
from jobs.job import FINAL, Fetch, Progress, Status
from jobs.records import LEASE_S, Records
from jobs.redis_keys import OPEN, events_key, job_key
from quant.outcome.stages import Stage
from tests.jobs.records.samples import in_state, queued

PROGRESS = Progress(fraction=0.5, done=1, total=2, message="conv1")
ACTIONS = {
    "claim": lambda records, job: records.claim(job.id, "other"),
    "cancel": lambda records, job: records.cancel(job),
    "progress": lambda records, job: records.progress(job.id, "owner", Stage.FITTING, PROGRESS),
    "heartbeat": lambda records, job: records.heartbeat(job.id, "owner"),
    "succeed": lambda records, job: records.finish(job.id, "owner", Status.SUCCEEDED, {}),
    "fail": lambda records, job: records.finish(job.id, "owner", Status.FAILED, {}),
}
LEGAL = {
    ("claim", Status.QUEUED): Status.RUNNING,
    ("cancel", Status.QUEUED): Status.CANCELLED,
    ("succeed", Status.RUNNING): Status.SUCCEEDED,
    ("fail", Status.RUNNING): Status.FAILED,
}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("status", Status)
def test_only_legal_transitions_change_the_state(records, action, status):
    job = in_state(records, status)
    ACTIONS[action](records, job)
    assert records.job(job.id).status == LEGAL.get((action, status), status)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("status", FINAL)
def test_nothing_changes_an_ended_job(records, action, status):
    job = in_state(records, status)
    ACTIONS[action](records, job)
    assert records.job(job.id) == job


def test_each_state_has_its_event_in_order(records, valkey):
    job = in_state(records, Status.SUCCEEDED)
    with redis.Redis.from_url(valkey.url, decode_responses=True) as client:
        states = [json.loads(fields["data"]) for _, fields in client.xrange(events_key(job.id))]
        assert client.ttl(events_key(job.id)) > 0
    assert [(event["status"], event["final"]) for event in states] == [
        ("queued", False), ("running", False), ("succeeded", True),
    ]  # fmt: skip


def test_the_next_heartbeat_reports_a_cancellation(records):
    job = in_state(records, Status.RUNNING)
    assert records.heartbeat(job.id, "owner") == "ok"
    records.cancel(job)
    assert records.heartbeat(job.id, "owner") == "cancel"
    assert records.progress(job.id, "owner", Stage.FITTING, PROGRESS) == "cancel"
    assert records.heartbeat(job.id, "stranger") == "lost"


@pytest.mark.parametrize("ahead_s", [120.0, -120.0, 1e6])
def test_leases_are_times_of_redis_whatever_the_clock_of_a_worker_says(records, monkeypatch, ahead_s):
    job, real = in_state(records, Status.RUNNING), time.time
    monkeypatch.setattr(time, "time", lambda: real() + ahead_s)
    assert records.claim(job.id, "other") is None
    assert job.id not in records.claim_stale()
    assert records.heartbeat(job.id, "owner") == "ok"
    monkeypatch.undo()
    assert records.claim(job.id, "other") is None
    assert records.finish(job.id, "owner", Status.SUCCEEDED, {})


@pytest.mark.parametrize("ahead_s", [120.0, -120.0])
def test_times_of_a_job_are_those_of_redis_whatever_the_clock_of_a_worker_says(records, monkeypatch, ahead_s):
    real, begun = time.time, records.now()
    monkeypatch.setattr(time, "time", lambda: real() + ahead_s)
    job = in_state(records, Status.QUEUED)
    assert records.claim(job.id, "owner")
    assert records.finish(job.id, "owner", Status.SUCCEEDED, {})
    ended, cancelled = records.job(job.id), in_state(records, Status.QUEUED)
    records.cancel(cancelled)
    times = [begun, ended.started_at, ended.finished_at, records.job(cancelled.id).finished_at, records.now()]
    assert times == sorted(times)


@pytest.mark.parametrize("kind", ["job", "fetch"])
def test_a_cancellation_that_a_lost_worker_missed_takes_effect_at_the_next_claim(records, valkey, kind):
    source = Fetch(kind="model", source="https://example.org/x.onnx?sig=1") if kind == "fetch" else None
    job = in_state(records, Status.RUNNING, kind=kind, fetch=source)
    records.cancel(job)
    late = records.job(job.id)
    assert Records(valkey.url, lease_s=-1.0).heartbeat(job.id, "owner") == "cancel"  # its lease is over now
    assert records.claim(job.id, "other") is None
    ended = records.job(job.id)
    assert (late.status, ended.status) == (Status.RUNNING, Status.CANCELLED)
    assert "sig=1" not in ended.model_dump_json()


def test_an_idempotency_key_stands_for_one_job_of_one_tenant(records):
    first = queued(records, ("key", "f1"))
    assert queued(records, ("key", "f1")).id == first.id
    with pytest.raises(IdempotencyMismatch):
        queued(records, ("key", "f2"))
    assert queued(records, ("key", "f1"), tenant="other").id != first.id
    records.cancel(first)
    records.delete_job(records.job(first.id))
    assert queued(records, ("key", "f1")).id != first.id


def test_a_job_is_not_stored_without_its_inputs(records):
    with pytest.raises(NotFound, match="dataset dataset_gone"):
        queued(records, calibration="dataset_gone")
    assert records.jobs("default", 10, None) == ([], None)


def test_only_an_ended_job_is_deleted(records):
    job = queued(records)
    with pytest.raises(Conflict, match="cancel it first"):
        records.delete_job(job)
    records.cancel(job)
    records.delete_job(records.job(job.id))
    with pytest.raises(NotFound):
        records.job(job.id)
    assert records.jobs("default", 10, None) == ([], None)


def test_a_key_cannot_open_more_jobs_than_its_quota(records):
    first = queued(records, api_key="k", open_jobs=2)
    queued(records, api_key="k", open_jobs=2)
    with pytest.raises(TooManyJobs):
        queued(records, api_key="k", open_jobs=2)
    queued(records, api_key="other", open_jobs=2)
    records.claim(first.id, "owner")
    for _ in range(2):  # what ends once counts once
        records.finish(first.id, "owner", Status.SUCCEEDED, {})
    queued(records, api_key="k", open_jobs=2)
    with pytest.raises(TooManyJobs):
        queued(records, api_key="k", open_jobs=2)


def test_an_unclaimed_job_is_sent_again_at_doubling_intervals(records, valkey):
    waiting = queued(records)
    sent = []
    with redis.Redis.from_url(valkey.url) as client:
        for _ in range(3):
            assert records.claim_stale() == []
            sent.append(client.zscore(OPEN, waiting.id) - time.time())
            client.zadd(OPEN, {waiting.id: time.time() - 1})  # that time has come
            assert records.claim_stale() == [waiting.id]
    assert sent == pytest.approx([LEASE_S, 2 * LEASE_S, 4 * LEASE_S], rel=0.1)


def test_a_claimed_job_is_sent_again_when_its_lease_expires(records, valkey):
    job = queued(records)
    with redis.Redis.from_url(valkey.url) as client:
        for _ in range(5):
            client.zadd(OPEN, {job.id: 0})
            records.claim_stale()
        records.claim(job.id, "owner")
        assert client.zscore(OPEN, job.id) == pytest.approx(time.time() + LEASE_S, abs=5)
        client.zadd(OPEN, {job.id: 0})
        assert records.claim_stale() == []  # the lease holds
        assert client.zscore(OPEN, job.id) == float(client.hget(job_key(job.id), "lease"))
        client.hset(job_key(job.id), "lease", time.time() - 1)
        client.zadd(OPEN, {job.id: 0})
        assert records.claim_stale() == [job.id]
        records.finish(job.id, "owner", Status.FAILED, {})
        assert client.zcard(OPEN) == 0
