"""The object store holds a document for every upload and job."""

import pytest

from jobs.archive import folder, job_place, upload_place
from jobs.journal import Change


def test_uploads_and_jobs_are_read_back(archive, store, submit):
    model, data = store(), store("dataset", data=b"data")
    job = submit(model)
    places = {
        job_place("default", job.id): job,
        upload_place("default", "model", model.id): model,
        upload_place("default", "dataset", data.id): data,
    }
    assert set(archive.documents()) == set(places)
    assert {place: archive.read(place) for place in places} == places
    assert archive.job("default", job.id) == job
    assert archive.job("other", job.id) is None
    assert dict(archive.changes_since(0)) == dict.fromkeys(places, Change.WRITTEN)


def test_ended_jobs_are_archived_once(records, archive, store, submit, finish):
    ended = finish(submit(store()))
    assert archive.catch_up(records) == 1
    assert archive.catch_up(records) == 0
    assert archive.job("default", ended.id) == ended
    assert dict(archive.changes_since(0))[job_place("default", ended.id)] == Change.ENDED


def test_a_dropped_job_leaves_nothing(archive, blobs, store, submit, finish):
    job = finish(submit(store()))
    archive.drop_job(job)
    assert blobs.keys(folder(job)) == []


def test_a_dropped_upload_leaves_nothing(archive, blobs, store):
    model = store()
    archive.drop_upload(model)
    assert blobs.keys("default") == []
    assert dict(archive.changes_since(0)) == {upload_place("default", "model", model.id): Change.REMOVED}


def test_a_job_that_is_deleted_while_it_is_archived_stays_deleted(records, archive, blobs, store, submit, finish):
    job = finish(submit(store()))
    pending = records.unarchived()
    assert pending == [job]
    records.delete_job(job)
    archive.drop_job(job)
    assert archive.catch_up(records) == 0
    assert blobs.keys(f"default/jobs/{job.id}") == []


@pytest.mark.parametrize("deleted", [True, False], ids=["deleted", "lost by Redis"])
def test_a_job_that_vanishes_while_it_is_archived_is_dropped_only_if_it_was_deleted(
    records, archive, store, submit, finish, monkeypatch, deleted
):
    job, mark = finish(submit(store())), records.mark_archived

    def vanish(archived):
        mark(archived)
        if deleted:
            records.delete_job(job)
        else:
            records._redis.flushall()

    monkeypatch.setattr(records, "mark_archived", vanish)
    archive.catch_up(records)
    assert archive.job("default", job.id) == (None if deleted else job)


def test_a_new_job_whose_gateway_was_killed_is_archived_by_another(records, archive, store, submit):
    job = submit(store())
    created = records.create_job(job.model_copy(update={"id": job.id + "x"}))  # and no further step
    assert records.unarchived() == [created]
    assert archive.catch_up(records) == 1
    assert archive.job("default", created.id) == created
    assert records.unarchived() == []


def test_a_job_that_ends_while_its_first_document_is_written_is_written_again(records, archive, store, submit, finish):
    job = submit(store())
    ended = finish(job)
    assert archive.catch_up(records) == 1
    archive.put_job(job)  # late
    records.mark_archived(job)
    assert records.unarchived() == [ended]
    archive.catch_up(records)
    assert archive.job("default", job.id) == ended
