"""An empty Redis is rebuilt from the object store."""

import redis

from jobs.job import Status
from jobs.keys import Keys, Scope
from jobs.queue import make_queue
from jobs.records import JobFilter
from jobs.reindex import Restored, reindex


def test_all_records_are_restored(valkey, records, blobs, archive, store, submit, finish):
    keys = Keys(valkey.url, blobs)
    key, text = keys.create("team", "", tuple(Scope))
    model, data = store(tenant="team", api_key=key.id), store("dataset", tenant="team", data=b"data", api_key=key.id)
    ended = finish(submit(model, calibration=data.id, tags={"a": "b"}, api_key=key.id, work="w"))
    failed = finish(submit(model, api_key=key.id), Status.FAILED)
    queued, running = submit(model, api_key=key.id), submit(model, api_key=key.id)
    records.claim(running.id, "owner")
    assert archive.catch_up(records) == 2
    stored = records.stored_bytes(key.id)

    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
    queue = make_queue(valkey.url, 60)
    for _ in range(2):
        assert reindex(records, archive, keys, queue) == Restored(keys=1, uploads=2, jobs=4, queued=2)

    assert keys.check(text) == key
    assert records.upload("model", model.id, "team") == model
    assert records.uploads("team", "dataset", 10, None)[0] == [data]
    assert records.job(ended.id, "team") == ended
    assert records.job(failed.id, "team") == failed
    assert records.result("team", "w") == ended
    assert [job.id for job in records.jobs("team", 10, None, JobFilter(Status.SUCCEEDED, "a:b"))[0]] == [ended.id]
    assert {job.id for job in records.jobs("team", 10, None, JobFilter(Status.QUEUED))[0]} == {queued.id, running.id}
    assert records.depth()[:2] == (2, 0)
    assert records.stored_bytes(key.id) == stored
    assert records.unarchived() == []
    assert records.claim(running.id, "other").attempt == 1


def test_bytes_stored_twice_by_a_crash_are_restored_once(valkey, records, blobs, archive, store):
    kept = store()
    twin = kept.model_copy(update={"id": kept.id + "x", "key": kept.key + "x"})
    blobs.put(twin.key, b"bytes")
    archive.put_upload(twin)
    assert reindex(records, archive, Keys(valkey.url, blobs), make_queue(valkey.url, 60)).uploads == 1
    assert sorted(blobs.keys("default")) == sorted([kept.key, kept.key + ".json"])


def test_bytes_that_were_sent_again_to_an_empty_redis_leave_the_model_of_an_accepted_job(
    valkey, records, blobs, archive, store, submit
):
    first = store()
    job = submit(first)
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
    again = store()
    for _ in range(2):
        restored = reindex(records, archive, Keys(valkey.url, blobs), make_queue(valkey.url, 60))
        assert (restored.uploads, restored.jobs, restored.queued) == (2, 1, 1)
    assert records.upload("model", first.id, "default") == first
    assert records.upload("model", again.id, "default") == again
    assert blobs.read(first.key) == blobs.read(again.key)
    assert records.claim(job.id, "owner").model == first.id
    assert store().id == again.id


def test_a_document_that_holds_no_record_is_reported_and_the_others_are_restored(
    valkey, records, blobs, archive, store, submit, finish
):
    model = store()
    finish(submit(model))
    archive.catch_up(records)
    blobs.put("default/jobs/job_1/record.json", b'{"timings": NaN}')
    blobs.put("default/models/model_1.json", b"\xff")
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
    restored = reindex(records, archive, Keys(valkey.url, blobs), make_queue(valkey.url, 60))
    assert (restored.uploads, restored.jobs, restored.unreadable) == (1, 1, 2)
    assert blobs.read("default/models/model_1.json") == b"\xff"
