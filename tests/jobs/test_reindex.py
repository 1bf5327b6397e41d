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
