"""Fetches, for which jobs wait outside of the queue, and copies of the artifacts of ended jobs."""

import pytest

from jobs.errors import NotFound
from jobs.job import Destination, Fetch, Job, Status, new_id, now
from jobs.records import Records
from tests.jobs.records.samples import add

ERROR = {"type": "t", "title": "t", "status": 422, "detail": "no answer", "code": "remote.failed"}


@pytest.fixture
def fetch(records: Records):
    """A queued fetch of a dataset."""
    upload_id = new_id("dataset")
    source = Fetch(kind="dataset", source="https://example.org/x.npz?sig=1")
    return records.create_job(
        Job(id=upload_id, kind="fetch", tenant="default", status=Status.QUEUED, model=upload_id, spec={}, fetch=source,
            created_at=now())
    )  # fmt: skip


def test_an_unknown_upload_is_named_by_its_kind(records: Records, fetch):
    for kind, name in (("model", fetch.id), ("dataset", new_id("dataset"))):
        with pytest.raises(NotFound, match=f"there is no {kind} '{name}'"):
            records.fetch(kind, name, "default")


def job_for(records, dataset_id=None, **fields):
    model = add(records)[0].id
    job = Job(
        id=new_id("job"), tenant="default", status=Status.QUEUED, model=model, calibration=dataset_id, spec={},
        created_at=now(), **fields,
    )  # fmt: skip
    return records.create_job(job)


def end(records, job, status=Status.SUCCEEDED, **fields):
    assert records.claim(job.id, "owner")
    assert records.finish(job.id, "owner", status, fields)


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED])
def test_a_job_is_in_no_queue_until_its_input_is_fetched(records: Records, fetch, status):
    job = job_for(records, fetch.id)
    assert [waiting.id for waiting in records.jobs_awaiting(fetch.id)] == [job.id]
    assert records.claim_next("job", "owner", sent=job.id) is None
    taken = records.claim_next("fetch", "worker")
    assert taken is not None
    assert taken.id == fetch.id
    assert records.claim_next("job", "owner") is None
    assert records.finish(fetch.id, "worker", status, {"error": ERROR if status == Status.FAILED else None})
    claimed = records.claim_next("job", "owner")
    assert claimed is not None
    assert claimed.id == job.id
    assert (records.fetch_problem(fetch.id) is None) == (status == Status.SUCCEEDED)


def test_a_fetch_is_found_until_it_has_succeeded(records: Records, fetch):
    assert records.fetch("dataset", fetch.id, "default") == fetch
    for kind, tenant in (("model", "default"), ("dataset", "other")):
        with pytest.raises(NotFound):
            records.fetch(kind, fetch.id, tenant)
    end(records, fetch)
    with pytest.raises(NotFound):
        records.fetch("dataset", fetch.id, "default")


def test_a_cancelled_fetch_wakes_its_jobs_and_keeps_no_signature(records: Records, fetch):
    job = job_for(records, fetch.id)
    records.cancel(fetch)
    assert records.job(fetch.id).fetch.source == "https://example.org/x.npz"
    assert records.claim_next("job", "owner").id == job.id


def test_an_input_that_is_neither_stored_nor_fetched_is_missing(records: Records, fetch):
    end(records, fetch)
    with pytest.raises(NotFound):
        job_for(records, fetch.id)


def test_a_copy_is_due_when_its_job_has_succeeded(records: Records):
    destination = Destination(url="https://example.org/out?sig=1")
    failing, job = (job_for(records, destination=destination) for _ in range(2))
    end(records, failing, Status.FAILED)
    assert records.claim_copy(60) is None
    end(records, job)
    assert records.claim_copy(60).id == job.id
    assert records.claim_copy(60) is None, "it is leased"
    records.copy_later(job.id, 0)
    records.record_copy(job, destination.model_copy(update={"status": "retrying", "attempts": 1}))
    assert records.claim_copy(60).destination.attempts == 1
    records.copy_later(job.id, 0)
    records.delete_job(records.job(job.id))
    assert records.claim_copy(60) is None
