"""Expired records are removed, and never the inputs of an open job."""

import os
import time
from datetime import UTC, datetime, timedelta

import pytest

from jobs.blobs import Blobs
from jobs.errors import NotFound
from jobs.redis_keys import upload_key
from jobs.retention import ORPHANED_S, collect


@pytest.fixture
def blobs(tmp_path):
    """A local folder: its files can be made old."""
    return Blobs((tmp_path / "store").as_uri())


def days_ago(days):
    return (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="milliseconds")


def age(store, seconds=ORPHANED_S + 60):
    """Make every file of a folder old."""
    for path in store.rglob("*"):
        os.utime(path, times=(time.time() - seconds,) * 2)


def files(store):
    """Return the files of all tenants."""
    return [path for path in store.rglob("*") if path.is_file() and "_journal" not in path.parts]


def test_recent_or_used_records_stay(records, blobs, store, submit, finish, tmp_path):
    old = store(created_at=days_ago(40))
    job = finish(submit(old))
    assert collect(records, blobs, 30).jobs == 0
    assert records.upload("model", old.id) == old  # a job named it today
    assert records.job(job.id) == job
    assert blobs.read(job.artifacts[0].key) == b"artifact"


def test_expired_records_are_removed_with_their_blobs(records, blobs, store, submit, tmp_path):
    model = store(created_at=days_ago(40))
    job = submit(model, created_at=days_ago(39))
    records.cancel(job)
    first, second = collect(records, blobs, 30), collect(records, blobs, 1e-9)
    assert (first.jobs, first.uploads) == (0, 1)  # the job was named 39 days ago, and ended today
    assert (second.jobs, second.uploads) == (1, 0)
    for find in (lambda: records.job(job.id), lambda: records.upload("model", model.id)):
        with pytest.raises(NotFound):
            find()
    assert files(tmp_path / "store") == []
    assert records.stored_bytes("") == 0


@pytest.mark.parametrize("role", ["calibration", "evaluation"])
@pytest.mark.parametrize("running", [False, True])
def test_the_inputs_of_an_open_job_never_expire(records, blobs, store, submit, role, running):
    model, data = store(created_at=days_ago(400)), store("dataset", data=b"data", created_at=days_ago(400))
    job = submit(model, created_at=days_ago(399), **{role: data.id})
    if running:
        records.claim(job.id, "owner")
    assert collect(records, blobs, 30).uploads == 0
    assert blobs.read(model.key) == b"bytes"
    assert blobs.read(data.key) == b"data"
    records.cancel(job)
    records.finish(job.id, "owner", "cancelled", {})
    assert collect(records, blobs, 30).uploads == 2


def test_an_upload_of_equal_bytes_restarts_the_term(records, blobs, store):
    model = store(created_at=days_ago(40))
    assert store() == model
    assert collect(records, blobs, 30).uploads == 0


def test_without_a_term_nothing_expires(records, blobs, store):
    store(created_at=days_ago(4000))
    assert collect(records, blobs, float("inf")).uploads == 0


def test_an_orphaned_blob_is_removed_when_it_is_old(records, blobs, store, submit, finish, tmp_path):
    kept = finish(submit(store()))
    collect(records, blobs, 30)
    known = set(files(tmp_path / "store"))
    for key in ("t/models/model_1", "t/datasets/d", "t/jobs/job_1/aa/model.onnx", "t/uploads/u/0"):
        blobs.put(key, b"left")
    (tmp_path / "store" / "t" / "models" / "model_2#1").write_bytes(b"cut")
    assert collect(records, blobs, 30).blobs == 0  # somebody may be at it
    age(tmp_path / "store")
    blobs.put("t/uploads/v/1", b"young")
    blobs.put("t/uploads/v/0", b"old")
    age(tmp_path / "store" / "t" / "uploads" / "v" / "0")
    assert collect(records, blobs, 30).blobs == 5
    left = set(files(tmp_path / "store"))
    assert {path.name for path in left - known} == {"0", "1"}
    assert known <= left
    assert blobs.read(kept.artifacts[0].key) == b"artifact"


def test_no_blob_is_orphaned_because_redis_is_empty(records, blobs, valkey, store, submit, finish, tmp_path):
    job = finish(submit(store()))
    collect(records, blobs, 30)
    before = set(files(tmp_path / "store"))
    records._redis.flushall()
    age(tmp_path / "store")
    collected = collect(records, blobs, 1e-9)
    assert (collected.jobs, collected.uploads, collected.blobs) == (0, 0, 0)
    assert set(files(tmp_path / "store")) == before
    assert job.artifacts


def test_an_upload_that_is_used_in_the_meantime_stays(records, blobs, store, submit):
    model = store(created_at=days_ago(40))
    before = time.time() - 30 * 24 * 3600
    assert records.unused_since(before) == [("model", model.id)]
    records.cancel(submit(model))
    with pytest.raises(Exception, match="is used by"):
        records.delete_upload("model", model, unused_since=before)
    assert records._redis.exists(upload_key("model", model.id))
