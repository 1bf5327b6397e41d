"""Lists of jobs hold every matching job once, newest first."""

import time

import pytest

from jobs.job import Status
from tests.jobs.records.samples import in_state, queued


def pages(records, limit, **filters):
    seen, cursor = [], None
    while True:
        jobs, cursor = records.jobs("default", limit, cursor, **filters)
        seen += [job.id for job in jobs]
        if cursor is None:
            return seen


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_pages_hold_every_job_once_newest_first(records, limit):
    ids = [queued(records, tags={"n": str(number % 2)}).id for number in range(7)]
    assert pages(records, limit) == sorted(ids, reverse=True)
    assert pages(records, limit, tag="n:0") == sorted(ids[::2], reverse=True)


def test_a_page_continues_behind_a_deleted_cursor(records):
    jobs = [queued(records) for _ in range(3)]
    _, cursor = records.jobs("default", 2, None)
    gone = next(job for job in jobs if job.id == cursor)
    records.cancel(gone)
    records.delete_job(records.job(gone.id))
    assert [job.id for job in records.jobs("default", 2, cursor)[0]] == [min(job.id for job in jobs)]


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


def test_depth_counts_jobs_and_returns_the_oldest_time(records):
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
