"""The object store holds a document for every upload and job."""

from jobs.archive import folder


def test_uploads_and_jobs_are_read_back(archive, store, submit):
    model, data = store(), store("dataset", data=b"data")
    job = submit(model)
    assert sorted(archive.uploads([]), key=lambda item: item[0]) == [("dataset", data), ("model", model)]
    assert list(archive.jobs([])) == [job]


def test_ended_jobs_are_archived_once(records, archive, store, submit, finish):
    ended = finish(submit(store()))
    assert archive.catch_up(records) == 1
    assert archive.catch_up(records) == 0
    assert list(archive.jobs([])) == [ended]


def test_a_dropped_job_leaves_nothing(archive, blobs, store, submit, finish):
    job = finish(submit(store()))
    archive.drop_job(job)
    assert blobs.keys(folder(job)) == []


def test_a_dropped_upload_leaves_nothing(archive, blobs, store):
    model = store()
    archive.drop_upload(model)
    assert blobs.keys("") == []


def test_a_job_that_is_deleted_while_it_is_archived_stays_deleted(records, archive, blobs, store, submit, finish):
    job = finish(submit(store()))
    pending = records.unarchived()
    assert pending == [job]
    records.delete_job(job)
    archive.drop_job(job)
    assert archive.catch_up(records) == 0
    assert blobs.keys(f"default/jobs/{job.id}") == []
