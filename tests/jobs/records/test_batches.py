"""Batches: created whole or not at all, ended once by the end of their last job, and restored with it."""

import time

import pytest

from jobs.archive import Archive
from jobs.batch import BATCH, Batch, BatchStatus
from jobs.blobs import Blobs
from jobs.errors import Conflict, IdempotencyMismatch, NotFound, TooManyJobs
from jobs.job import Job, Status, Webhook, new_id, now
from jobs.keys import Keys
from jobs.queue import make_queue
from jobs.records.webhooks import WebhookSchedule
from jobs.reindex import Restored, Restorer
from jobs.retention import DAY_S
from tests.jobs.records.samples import add

HOOK = Webhook(url="https://example.com/")


def jobs_of(records, count, batch_id, tenant="default", **fields):
    model = add(records, tenant=tenant)[0].id
    common = {"tenant": tenant, "model": model, "spec": {}, "created_at": now(), "batch": batch_id}
    return [Job(id=new_id("job"), **{**common, "status": Status.QUEUED, **fields}) for _ in range(count)]


def create(records, count=2, open_jobs=None, idempotency=None, **fields):
    batch_id = new_id(BATCH)
    jobs = jobs_of(records, count, batch_id, **fields)
    batch = Batch(
        id=batch_id, tenant="default", jobs=tuple(job.id for job in jobs), created_at=now(), webhook=HOOK,
        idempotency=idempotency,
    )  # fmt: skip
    return records.create_batch(batch, jobs, open_jobs)


def end(records, job_id, status=Status.SUCCEEDED, **fields):
    assert records.claim(job_id, "owner")
    assert records.finish(job_id, "owner", status, fields)


def test_a_batch_ends_once_with_its_last_job(records: WebhookSchedule):
    batch = create(records, count=3)
    first, second, third = batch.jobs
    end(records, first, verdict="pass")
    records.cancel(records.job(second))
    assert (records.batch(batch.id), records.due_webhooks()) == (batch, [])
    with pytest.raises(Conflict, match="running"):
        records.delete_batch(batch)
    end(records, third, Status.FAILED, verdict="fail")
    ended = records.batch(batch.id, "default")
    assert (ended.status, ended.verdict, ended.finished_at) == ("failed", "fail", records.job(third).finished_at)
    assert records.due_webhooks() == [ended]
    assert records.claim_webhooks([batch.id], 60) == {batch.id: 1}
    (counts,) = records.batch_counts([ended])
    assert (counts.statuses["succeeded"], counts.statuses["queued"], counts.verdicts) == (1, 0, {"pass": 1, "fail": 1})
    for job in records.jobs_of(ended):
        records.delete_job(job)
    assert records.batch_counts([ended])[0].deleted == 3
    assert records.batch(batch.id) == ended
    records.delete_batch(ended)
    with pytest.raises(NotFound, match=batch.id):
        records.batch(batch.id)
    assert (records.batches("default", 10, None), records.due_webhooks()) == (([], None), [])


@pytest.mark.parametrize(
    ("ends", "status"),
    [([Status.SUCCEEDED] * 2, "succeeded"), ([Status.SUCCEEDED, Status.CANCELLED], "cancelled")],
    ids=str,
)
def test_the_state_of_a_batch_follows_from_its_jobs(records, ends, status):
    batch = create(records)
    for job_id, wanted in zip(batch.jobs, ends, strict=True):
        end(records, job_id, wanted)
    assert records.batch(batch.id).status == status


def test_a_batch_whose_results_are_stored_has_ended(records):
    batch = create(records, status=Status.SUCCEEDED, finished_at=now(), open_jobs=0)
    assert records.batch(batch.id).status == BatchStatus.SUCCEEDED


def test_a_refused_batch_leaves_no_job(records):
    create(records, count=3, api_key="")
    with pytest.raises(TooManyJobs, match=r"3 jobs .* the batch has 2; accepted: 4"):
        create(records, open_jobs=4)
    assert create(records, open_jobs=5).jobs
    with pytest.raises(NotFound, match="model"):
        create(records, model="model_0")
    assert (len(records.jobs("default", 100, None)[0]), len(records.batches("default", 9, None)[0])) == (5, 2)


def test_the_same_idempotency_key_returns_the_same_batch(records):
    batch = create(records, idempotency=("key", "body"))
    assert create(records, idempotency=("key", "body")) == batch
    with pytest.raises(IdempotencyMismatch):
        create(records, idempotency=("key", "other"))


def test_a_cancelled_batch_ends(records):
    batch = create(records)
    records.claim(batch.jobs[0], "owner")
    records.cancel_batch(batch)
    assert records.batch(batch.id).status == "running"
    assert records.heartbeat(batch.jobs[0], "owner") == "cancel"
    assert records.finish(batch.jobs[0], "owner", Status.CANCELLED, {})
    assert records.batch(batch.id).status == "cancelled"


def test_a_batch_is_restored_after_its_jobs_and_ends(valkey, records, tmp_path, lose):
    """Redis loses everything while a batch runs, and the end of one whose document does not know it."""
    blobs = Blobs(tmp_path.as_uri())
    archive = Archive(blobs)
    restorer = Restorer(records, archive, Keys(valkey.url, blobs), make_queue(valkey.url, 60))
    running, ended = create(records), create(records)
    archive.catch_up(records)
    for job_id in ended.jobs:
        end(records, job_id)
        archive.put_job(records.job(job_id))
    lose()
    restored = restorer.restore_all()
    assert (restored.batches, restored.jobs, restored.queued) == (2, 4, 2)
    assert records.batch(ended.id).status == "succeeded"
    assert records.batch(running.id) == running
    for job_id in running.jobs:
        end(records, job_id)
    assert records.batch(running.id).status == "succeeded"
    archive.catch_up(records)
    before = records.batch(running.id)
    lose()
    restorer.restore_all()
    assert records.batch(running.id) == before
    assert restorer.restore_all() == Restored()
    assert sum(len(records.batches_ended_before(time.time() + days * DAY_S)) for days in (-1, 1)) == 2
