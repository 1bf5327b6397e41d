"""Every change of a record is one compare-and-set, and its event comes with it."""

import json
import os
import signal
import time
from itertools import pairwise

import pytest
import redis

from jobs.errors import Conflict, IdempotencyMismatch, NotFound, StorageFull, TooManyJobs
from jobs.job import FINAL, Job, Progress, Status, Upload, new_id, now
from jobs.records import LEASE_S, Records
from jobs.redis_keys import OPEN, events_key, job_key
from jobs.valkey import Valkey
from quant.outcome.stages import Stage


def add(records, kind="model", sha256="a" * 64, tenant="default", limit=None, **fields):
    upload_id = new_id(kind)
    upload = Upload(
        id=upload_id, tenant=tenant, key=f"{tenant}/{kind}s/{upload_id}", sha256=sha256, filename=None,
        created_at=now(), format="onnx", **{"size": 1, **fields},
    )  # fmt: skip
    return records.add_upload(kind, upload, limit)


def queued(records, idempotency=None, tenant="default", open_jobs=None, **fields):
    fields = {"model": add(records, tenant=tenant)[0].id, **fields}
    job = Job(id=new_id("job"), tenant=tenant, status=Status.QUEUED, spec={}, created_at=now(), **fields)
    return records.create_job(job, idempotency, open_jobs)


def in_state(records, status, **fields):
    """A job that got into this state on the legal way."""
    job = queued(records, **fields)
    if status == Status.CANCELLED:
        records.cancel(job)
    elif status != Status.QUEUED:
        records.claim(job.id, "owner")
        if status != Status.RUNNING:
            records.finish(job.id, "owner", status, {})
    assert records.job(job.id).status == status
    return records.job(job.id)


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
def test_a_job_changes_its_state_on_the_legal_ways_alone(records, action, status):
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
        told = [json.loads(fields["data"]) for _, fields in client.xrange(events_key(job.id))]
        assert client.ttl(events_key(job.id)) > 0
    assert [(event["status"], event["final"]) for event in told] == [
        ("queued", False), ("running", False), ("succeeded", True),
    ]  # fmt: skip


def test_a_cancel_of_a_running_job_is_heard_at_its_next_word(records):
    job = in_state(records, Status.RUNNING)
    assert records.heartbeat(job.id, "owner") == "ok"
    records.cancel(job)
    assert records.heartbeat(job.id, "owner") == "cancel"
    assert records.progress(job.id, "owner", Stage.FITTING, PROGRESS) == "cancel"
    assert records.heartbeat(job.id, "stranger") == "lost"


def test_a_cancel_that_the_lost_worker_did_not_hear_counts_at_the_next_claim(records, valkey):
    job = in_state(records, Status.RUNNING)
    records.cancel(job)
    late = records.job(job.id)
    assert Records(valkey.url, lease_s=-1.0).heartbeat(job.id, "owner") == "cancel"  # its lease is over now
    assert records.claim(job.id, "other") is None
    assert (late.status, records.job(job.id).status) == (Status.RUNNING, Status.CANCELLED)


def test_the_same_idempotency_key_gives_the_same_job_and_not_to_another_tenant(records):
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


@pytest.mark.parametrize("role", ["model", "calibration", "evaluation"])
def test_what_an_open_job_uses_is_not_deleted(records, role):
    kind = "model" if role == "model" else "dataset"
    upload, _ = add(records, kind)
    job = queued(records, **{role: upload.id})
    with pytest.raises(Conflict, match=job.id):
        records.delete_upload(kind, upload)
    records.cancel(job)
    records.delete_upload(kind, upload)
    with pytest.raises(NotFound):
        records.upload(kind, upload.id)
    assert add(records, kind)[1]  # the same bytes are new again


def test_equal_bytes_are_one_upload_a_tenant(records):
    first, created = add(records)
    again, created_again = add(records)
    other, created_other = add(records, tenant="other")
    assert (created, created_again, created_other) == (True, False, True)
    assert again == first != other


def test_another_tenants_things_are_not_there(records):
    job, upload = queued(records), add(records)[0]
    with pytest.raises(NotFound):
        records.job(job.id, "other")
    with pytest.raises(NotFound):
        records.upload("model", upload.id, "other")
    assert records.jobs("other", 10, None) == records.uploads("other", "model", 10, None) == ([], None)


def test_only_an_ended_job_is_deleted(records):
    job = queued(records)
    with pytest.raises(Conflict, match="cancel it first"):
        records.delete_job(job)
    records.cancel(job)
    records.delete_job(records.job(job.id))
    with pytest.raises(NotFound):
        records.job(job.id)
    assert records.jobs("default", 10, None) == ([], None)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_pages_hold_every_job_once_newest_first(records, limit):
    ids = [queued(records, tags={"n": str(number % 2)}).id for number in range(7)]
    assert pages(records, limit) == sorted(ids, reverse=True)
    assert pages(records, limit, tag="n:0") == sorted(ids[::2], reverse=True)


def test_a_page_goes_on_behind_a_cursor_that_is_gone(records):
    jobs = [queued(records) for _ in range(3)]
    _, cursor = records.jobs("default", 2, None)
    gone = next(job for job in jobs if job.id == cursor)
    records.cancel(gone)
    records.delete_job(records.job(gone.id))
    assert [job.id for job in records.jobs("default", 2, cursor)[0]] == [min(job.id for job in jobs)]


def pages(records, limit, **wanted):
    seen, cursor = [], None
    while True:
        jobs, cursor = records.jobs("default", limit, cursor, **wanted)
        seen += [job.id for job in jobs]
        if cursor is None:
            return seen


def test_ids_made_later_do_not_sort_before(monkeypatch):
    clock = iter(range(10**18, 10**18 + 50 * 10**6, 10**6))
    monkeypatch.setattr("jobs.job.time.time_ns", lambda: next(clock))
    assert all(first < second for first, second in pairwise(new_id("job") for _ in range(50)))


def test_records_survive_a_kill_of_the_server(tmp_path):
    server = Valkey(tmp_path)
    job = queued(Records(server.url))
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    again = Valkey(tmp_path)
    try:
        assert Records(again.url).job(job.id) == job
    finally:
        again.stop()


@pytest.mark.parametrize("status", Status)
def test_jobs_are_listed_by_their_status_and_tag(records, status):
    jobs = {made: in_state(records, made, tags={"n": "1"}) for made in Status}
    assert pages(records, 2, status=status) == [jobs[status].id]
    assert pages(records, 2, status=status, tag="n:1") == [jobs[status].id]
    assert pages(records, 2, status=status, tag="n:2") == []
    assert pages(records, 2, tag="n:1") == sorted((job.id for job in jobs.values()), reverse=True)
    if jobs[status].final:
        records.delete_job(jobs[status])
        assert pages(records, 2, status=status) == pages(records, 2, status=status, tag="n:1") == []


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_pages_by_status_and_tag_hold_every_job_once(records, limit):
    ids = [queued(records, tags={"n": str(number % 2)}).id for number in range(7)]
    records.cancel(records.job(ids[0]))
    assert pages(records, limit, status=Status.QUEUED, tag="n:0") == sorted(ids[2::2], reverse=True)


def test_the_queue_tells_its_depth_and_its_age(records):
    assert records.depth() == (0, 0, None)
    before = time.time()
    first, second = queued(records), queued(records)
    queued_, running, since = records.depth()
    assert (queued_, running) == (2, 0)
    assert before - 0.001 <= since <= time.time()
    records.claim(first.id, "owner")
    assert records.depth()[:2] == (1, 1)
    records.finish(first.id, "owner", Status.FAILED, {})
    records.cancel(second)
    assert records.depth() == (0, 0, None)


def test_a_key_has_no_more_open_jobs_than_it_may(records):
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


def test_bytes_are_counted_once_and_given_back_once(records):
    upload, _ = add(records, api_key="k", size=40, limit=100)
    with pytest.raises(StorageFull, match="40 of the 100 bytes"):
        add(records, sha256="b" * 64, api_key="k", size=61, limit=100)
    assert add(records, api_key="k", size=40, limit=40) == (upload, False)
    job = queued(records, model=upload.id, api_key="k")
    records.claim(job.id, "owner")
    artifact = {"name": "m", "size": 50, "sha256": "", "media_type": "", "key": ""}
    records.finish(job.id, "owner", Status.SUCCEEDED, {"artifacts": [artifact]})
    assert records.stored_bytes("k") == 90
    ended = records.job(job.id)
    for _ in range(2):
        records.delete_job(ended)
        records.delete_upload("model", upload)
    assert records.stored_bytes("k") == 0


def test_a_job_that_nobody_claims_is_sent_again_ever_more_rarely(records, valkey):
    waiting = queued(records)
    sent = []
    with redis.Redis.from_url(valkey.url) as client:
        for _ in range(3):
            assert records.claim_stale() == []
            sent.append(client.zscore(OPEN, waiting.id) - time.time())
            client.zadd(OPEN, {waiting.id: time.time() - 1})  # that time has come
            assert records.claim_stale() == [waiting.id]
    assert sent == pytest.approx([LEASE_S, 2 * LEASE_S, 4 * LEASE_S], rel=0.1)


def test_a_claimed_job_is_sent_again_when_its_lease_is_over_however_long_it_waited(records, valkey):
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
