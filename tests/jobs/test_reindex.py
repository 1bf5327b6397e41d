"""Redis is restored from the object store: an empty one, and what a newer or an older one lacks."""

import json

import pytest
import redis

from jobs.archive import RECORD, folder, job_place, upload_place
from jobs.job import Fetch, Job, Status, Webhook, new_id, now
from jobs.keys import Keys, Scope
from jobs.queue import make_queue
from jobs.records import JobFilter
from jobs.redis_keys import WEBHOOKS
from jobs.reindex import Restored, Restorer


@pytest.fixture
def keys(valkey, blobs):
    return Keys(valkey.url, blobs)


@pytest.fixture
def restorer(valkey, records, archive, keys):
    return Restorer(records, archive, keys, make_queue(valkey.url, 60))


def test_all_records_are_restored(records, archive, keys, restorer, store, submit, finish, lose):
    key, text = keys.create("team", "", tuple(Scope))
    model, data = store(tenant="team", api_key=key.id), store("dataset", tenant="team", data=b"data", api_key=key.id)
    ended = finish(submit(model, calibration=data.id, tags={"a": "b"}, api_key=key.id, work="w"))
    failed = finish(submit(model, api_key=key.id), Status.FAILED)
    queued, running = submit(model, api_key=key.id), submit(model, api_key=key.id)
    records.claim(running.id, "owner")
    assert archive.catch_up(records) == 2
    stored = records.stored_bytes(key.id)

    lose()
    assert restorer.restore_all() == Restored(keys=1, uploads=2, jobs=4, queued=2)
    assert restorer.restore_all() == Restored()

    assert keys.check(text) == key
    assert records.upload("model", model.id, "team") == model
    assert records.uploads("team", "dataset", 10, None)[0] == [data]
    assert records.job(ended.id, "team") == ended
    assert records.job(failed.id, "team") == failed
    assert records.result("team", "w") == ended
    assert [job.id for job in records.jobs("team", 10, None, JobFilter(Status.SUCCEEDED, ("a:b",)))[0]] == [ended.id]
    assert {job.id for job in records.jobs("team", 10, None, JobFilter(Status.QUEUED))[0]} == {queued.id, running.id}
    assert records.depth()[:2] == (2, 0)
    assert records.stored_bytes(key.id) == stored
    assert records.unarchived() == []
    assert records.claim(running.id, "other").attempt == 1


def test_a_key_that_was_revoked_after_the_copy_is_revoked(keys, restorer, lose):
    key, _ = keys.create("team", "", tuple(Scope))
    copy = lose.copy()
    revoked = keys.revoke(key.id)
    lose(copy)
    assert restorer.restore_since(0) == Restored(keys=1)
    assert keys.list() == [revoked]


def test_bytes_that_were_sent_again_to_an_empty_redis_leave_both_models(records, blobs, restorer, store, submit, lose):
    first, unused = store(), store(data=b"unused")
    job = submit(first)
    lose()
    again, unused_again = store(), store(data=b"unused")
    assert restorer.restore_all() == Restored(uploads=2, jobs=1, queued=1)
    for model in (first, again, unused, unused_again):
        assert records.upload("model", model.id, "default") == model
        assert blobs.read(model.key)
    assert records.claim(job.id, "owner").model == first.id
    assert store().id == again.id


def full(job, **changes):
    return json.dumps(job.model_dump(mode="json") | changes).encode()


BAD = {
    "empty": lambda job: b"",
    "truncated": lambda job: full(job)[:100],
    "not UTF-8": lambda job: b"\xff",
    "not a number": lambda job: full(job, timings={"layer": float("nan")}),
    "wrong types": lambda job: full(job, spec=[], status=7),
    "an unknown state": lambda job: full(job, status="odd"),
    "no time": lambda job: full(job, created_at="yesterday"),
    "half a character": lambda job: full(job, tags={"a": "\ud800"}),
    "another tenant": lambda job: full(job, tenant="other"),
    "another job": lambda job: full(job, id="job_0"),
    "deeply nested": lambda job: b'{"spec":' + b"[" * 100_000,
}


@pytest.mark.parametrize("fault", BAD)
@pytest.mark.parametrize("since", [False, True])
def test_a_document_that_holds_no_record_is_counted_and_the_others_are_restored(
    restorer, archive, records, blobs, store, submit, lose, fault, since
):
    model = store()
    bad, good = submit(model), submit(model)
    document = BAD[fault](bad)
    blobs.put(f"{folder(bad)}/{RECORD}", document)
    lose()
    restored = restorer.restore_since(0) if since else restorer.restore_all()
    assert restored == Restored(uploads=1, jobs=1, queued=1, unreadable=1)
    assert records.job(good.id) == good
    assert blobs.read(f"{folder(bad)}/{RECORD}") == document
    assert not restorer.restore_one(job_place("default", bad.id))


@pytest.mark.parametrize("key", ["default/models/model_1.json", "default/datasets/dataset_1.json", "_keys/1.json"])
@pytest.mark.parametrize("document", [b"{}", b'{"id": NaN}', b"\xff", b""])
def test_an_upload_or_key_without_a_record_is_counted(restorer, blobs, records, key, document):
    blobs.put(key, document)
    assert restorer.restore_all() == Restored(unreadable=1)


# A lost end of what Redis knew


def test_what_was_accepted_lately_is_restored_from_the_journal(records, restorer, store, submit, lose):
    model = store()
    copy = lose.copy()
    later, job = store(data=b"later"), submit(model)
    named = submit(later)
    lose(copy)
    assert restorer.restore_since(0) == Restored(uploads=1, jobs=2, queued=2)
    assert records.job(job.id) == job
    assert records.claim(named.id, "owner").model == later.id
    assert restorer.restore_since(0) == Restored()


@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED])
def test_a_job_that_has_ended_is_not_run_to_another_end(
    records, archive, restorer, store, submit, finish, lose, status, running
):
    job = submit(store())
    copy = lose.copy()
    ended = finish(job, status)
    archive.catch_up(records)
    lose(copy)
    if running:
        assert records.claim(job.id, "second")
    assert restorer.restore_since(0) == Restored(jobs=1)
    assert records.job(job.id) == ended
    assert not records.finish(job.id, "second", Status.FAILED, {})
    assert records.heartbeat(job.id, "second") not in ("ok", "cancel")
    assert records.job(job.id) == ended
    assert records.depth()[:2] == (0, 0)
    assert records.stored_bytes("") == 5 + 8


def test_a_job_that_runs_is_left_alone(records, restorer, store, submit):
    job = submit(store())
    records.claim(job.id, "owner")
    assert restorer.restore_since(0) == restorer.restore_all() == Restored()
    assert records.heartbeat(job.id, "owner") == "ok"


@pytest.mark.parametrize("state", ["deleted", "lost"])
def test_what_was_deleted_stays_deleted(records, archive, restorer, store, submit, finish, lose, state):
    model, unused = store(), store(data=b"unused")
    job = finish(submit(model))
    archive.catch_up(records)
    copy = lose.copy()
    records.delete_job(job)
    records.delete_upload("model", unused)
    if state == "lost":  # the deletions are lost: the documents are gone
        archive.drop_job(job)
        archive.drop_upload(unused)
        lose(copy)
    restored = restorer.restore_since(0)
    assert restored == restorer.restore_all() == Restored() or restored == Restored(removed=2)
    assert restored.removed == (2 if state == "lost" else 0)
    assert not restorer.restore_one(job_place("default", job.id))
    assert not restorer.restore_one(upload_place("default", "model", unused.id))
    assert [job.id for job in records.jobs("default", 10, None)[0]] == []
    assert records.uploads("default", "model", 10, None)[0] == [model]


def test_an_upload_that_was_refused_is_not_restored(records, archive, restorer, store):
    known = store()
    twin = known.model_copy(update={"id": known.id + "x", "key": known.key + "x"})
    archive.put_upload(twin)
    assert records.add_upload("model", twin) == (known, False)
    assert restorer.restore_since(0) == restorer.restore_all() == Restored()


def test_an_upload_that_is_restored_before_its_own_request_records_it_is_accepted(records, archive, restorer, store):
    known = store()
    twin = known.model_copy(update={"id": known.id + "x", "key": known.key + "x"})
    archive.put_upload(twin)
    assert restorer.restore_since(0) == Restored(uploads=1)
    assert records.add_upload("model", twin) == (twin, True)


def test_an_idempotency_key_is_restored_with_its_job(records, archive, restorer, store, submit, lose):
    job = submit(store(), idempotency=("key", "fingerprint"))
    lose()
    restorer.restore_all()
    retry = job.model_copy(update={"id": job.id + "x"})
    assert records.create_job(retry, ("key", "fingerprint")).id == job.id


@pytest.mark.parametrize(("ended", "notified"), [(now(), True), ("2026-01-01T00:00:00Z", False)])
def test_the_webhook_of_a_job_that_ended_lately_is_pending_again(
    valkey, records, archive, restorer, store, submit, finish, lose, ended, notified
):
    job = finish(submit(store(), webhook=Webhook(url="https://example.com")))
    archive.put_job(job.model_copy(update={"finished_at": ended}))
    lose()
    restorer.restore_all()
    with redis.Redis.from_url(valkey.url) as client:
        assert (client.zscore(WEBHOOKS, job.id) is not None) == notified


def test_a_fetch_is_restored_before_a_job_that_waits_for_it(records, archive, restorer, store, submit, lose):
    fetch = Job(
        id=new_id("dataset"), kind="fetch", tenant="default", status=Status.QUEUED, model="", spec={}, created_at=now(),
        fetch=Fetch(kind="dataset", source="https://example.org/x.npz"),
    )  # fmt: skip
    records.create_job(fetch)
    archive.put_job(fetch)
    job = submit(store(), calibration=fetch.id)
    lose()
    assert restorer.restore_one(job_place("default", job.id))
    assert records.fetch("dataset", fetch.id, "default") == fetch
    assert records.claim_next("job", "owner") is None, "the job waits for the fetch"
    assert restorer.restore_all() == Restored()
