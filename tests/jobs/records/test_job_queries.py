"""Lists of jobs hold every matching job once, newest first."""

import time

import pytest

from jobs.job import Job, Status, timestamp
from jobs.records import JobFilter, job_queries
from jobs.redis_keys import job_key
from tests.jobs.records.samples import add, in_state, queued


def pages(records, limit, **filters):
    seen, cursor = [], None
    while True:
        jobs, cursor = records.jobs("default", limit, cursor, JobFilter(**filters))
        seen += [job.id for job in jobs]
        if cursor is None:
            return seen


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_pages_hold_every_job_once_newest_first(records, limit):
    ids = [queued(records, tags={"n": str(number % 2)}).id for number in range(7)]
    assert pages(records, limit) == sorted(ids, reverse=True)
    assert pages(records, limit, tags=("n:0",)) == sorted(ids[::2], reverse=True)


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
    assert pages(records, 2, status=status, tags=("n:1",)) == [jobs[status].id]
    assert pages(records, 2, status=status, tags=("n:2",)) == []
    assert pages(records, 2, tags=("n:1",)) == sorted((job.id for job in jobs.values()), reverse=True)
    if jobs[status].final:
        records.delete_job(jobs[status])
        assert pages(records, 2, status=status) == pages(records, 2, status=status, tags=("n:1",)) == []


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_pages_by_status_and_tag_hold_every_job_once(records, limit):
    ids = [queued(records, tags={"n": str(number % 2)}).id for number in range(7)]
    records.cancel(records.job(ids[0]))
    assert pages(records, limit, status=Status.QUEUED, tags=("n:0",)) == sorted(ids[2::2], reverse=True)


@pytest.mark.parametrize("verdict", ["pass", "fail"])
def test_jobs_are_listed_by_their_verdict(records, verdict):
    jobs = {result: queued(records) for result in ("pass", "fail", None)}
    for result, job in jobs.items():
        records.claim(job.id, "owner")
        records.finish(job.id, "owner", Status.SUCCEEDED, {"verdict": result})
    assert pages(records, 2, verdict=verdict) == [jobs[verdict].id]
    assert pages(records, 2, verdict=verdict, status=Status.FAILED) == []
    records.delete_job(records.job(jobs[verdict].id))
    assert pages(records, 2, verdict=verdict) == []


def test_jobs_are_listed_by_their_model(records):
    first, other = queued(records), queued(records, model=add(records, sha256="b" * 64)[0].id)
    again = queued(records, model=first.model)
    assert pages(records, 1, model=first.model) == [again.id, first.id]
    records.cancel(other)
    records.delete_job(records.job(other.id))
    assert pages(records, 1, model=other.model) == []


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_jobs_are_listed_by_a_part_of_the_models_name(records, limit):
    names = ["ResNet.onnx", "müller.pt", None, "resnet (2).onnx", "[a-z].onnx"]
    ids = [queued(records, model_name=name).id for name in names]
    assert pages(records, limit, name="RESNET") == [ids[3], ids[0]]
    assert pages(records, limit, name="üll") == [ids[1]]
    assert pages(records, limit, name="[a-z]") == [ids[4]]
    assert pages(records, limit, name="") == sorted(ids, reverse=True)
    assert pages(records, limit, name="onnx", status=Status.RUNNING) == []


def test_a_search_examines_a_limited_number_of_jobs_for_a_page(records, monkeypatch):
    monkeypatch.setattr(job_queries, "CHUNK", 2)
    monkeypatch.setattr(job_queries, "EXAMINED", 4)
    rare = queued(records, model_name="rare")
    common = [queued(records, model_name="common").id for _ in range(9)]
    assert records.jobs("default", 5, None, JobFilter(name="rare")) == ([], common[5])
    assert pages(records, 5, name="rare") == [rare.id]


def test_named_jobs_are_read_unless_they_are_gone_or_belong_to_another_tenant(records):
    mine, theirs = queued(records), queued(records, tenant="other")
    assert records.jobs_named("default", [mine.id, theirs.id, "job_none"]) == [mine]


def test_jobs_are_counted_by_status(records):
    for status in (Status.QUEUED, Status.FAILED, Status.FAILED):
        in_state(records, status)
    counts = {Status.QUEUED: 1, Status.RUNNING: 0, Status.SUCCEEDED: 0, Status.FAILED: 2, Status.CANCELLED: 0}
    assert records.counts("default") == counts
    assert sum(records.counts("other").values()) == 0


def test_a_queued_job_has_a_place_in_the_queue(records):
    first, second = queued(records), queued(records, tenant="other")
    assert [records.queue_position(job.id) for job in (first, second)] == [1, 2]
    records.claim(first.id, "owner")
    assert [records.queue_position(job.id) for job in (first, second)] == [None, 1]


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


@pytest.mark.parametrize("field", [("status", '"paused"'), ("created_at", "{"), ("spec", None)])
def test_a_record_that_cannot_be_read_hides_no_other(records, field):
    name, value = field
    jobs = [queued(records) for _ in range(3)]
    key = job_key(jobs[1].id)
    records._redis.hdel(key, name) if value is None else records._redis.hset(key, name, value)
    others = {jobs[0].id, jobs[2].id}
    assert set(pages(records, 2)) == others
    assert {job.id for job in records.unarchived()} == others
    assert {job.id for job in records.jobs_named("default", [job.id for job in jobs])} == others


def test_a_job_has_all_of_the_tags(records):
    both = queued(records, tags={"n": "1", "m": "2"})
    queued(records, tags={"n": "1"})
    assert pages(records, 2, tags=("n:1", "m:2")) == [both.id]
    assert pages(records, 2, tags=("n:1", "m:3")) == []


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_jobs_are_listed_by_the_time_of_their_submission(records, limit):
    """The first time is included, the last is not; ids may come from a clock that is up to five minutes off."""
    times = [1_700_000_000 + 100 * number for number in range(7)]
    model, ids = add(records)[0].id, []
    for number, time_s in enumerate(times):
        name = f"job_{1000 * (time_s + (-1) ** number * 250):012x}{number:020x}"
        job = Job(id=name, tenant="default", status=Status.QUEUED, spec={}, model=model, created_at=timestamp(time_s))
        ids.append(records.create_job(job).id)
    newest_first = sorted(ids[2:5], reverse=True)
    assert pages(records, limit, created_after=times[2], created_before=times[5]) == newest_first
    assert pages(records, limit, created_after=times[5] + 0.001) == ids[6:]
    assert pages(records, limit, created_before=times[0]) == []
    assert pages(records, limit, created_after=-(10**10), created_before=10**10) == sorted(ids, reverse=True)
