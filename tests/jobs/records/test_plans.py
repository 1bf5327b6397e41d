"""Plans are records of their own kind: they wait in their own queue, and are in no list of jobs."""

import pytest

from jobs.errors import Conflict, NotFound
from jobs.job import Job, Status, new_id, now
from jobs.records import Records
from tests.jobs.records.samples import add, queued


def queued_plan(records, idempotency=None, **fields):
    fields = {"model": add(records)[0].id, "status": Status.QUEUED, **fields}
    plan = Job(id=new_id("plan"), kind="plan", tenant="default", spec={}, created_at=now(), **fields)
    return records.create_job(plan, idempotency)


def test_plans_are_taken_in_the_order_in_which_they_were_asked_for_and_jobs_by_others(records):
    first, second = queued_plan(records), queued_plan(records)
    job = queued(records)
    assert [records.new_plan(0.1) for _ in range(3)] == [first.id, second.id, None]
    taken = [records.claim_next("plan", "owner") for _ in range(3)]
    assert [plan and plan.id for plan in taken] == [first.id, second.id, None]
    assert records.claim_next("job", "owner").id == job.id


def test_a_plan_whose_result_is_known_is_not_queued(records):
    queued_plan(records, status=Status.SUCCEEDED, finished_at=now())
    assert records.new_plan(0.1) is None
    assert records.claim_next("plan", "owner") is None


def test_a_plan_is_found_by_its_kind_only(records):
    plan, job = queued_plan(records), queued(records)
    assert records.job(plan.id, "default", "plan") == plan
    for record, kind in ((plan, "job"), (job, "plan")):
        with pytest.raises(NotFound):
            records.job(record.id, "default", kind)
    with pytest.raises(NotFound):
        records.job(plan.id, "other", "plan")
    assert records.jobs_named("default", [plan.id, job.id]) == [job]


def test_plans_are_in_no_list_of_jobs(records):
    plan = queued_plan(records)
    job = queued(records)
    assert records.jobs("default", 10, None)[0] == [job]
    assert records.counts("default")[Status.QUEUED] == 1
    records.claim(plan.id, "owner")
    records.finish(plan.id, "owner", Status.SUCCEEDED, {})
    assert records.counts("default")[Status.SUCCEEDED] == 0
    assert records.job(plan.id).status == Status.SUCCEEDED


def test_the_same_idempotency_key_returns_the_plan(records):
    plan = queued_plan(records, ("key", "fingerprint"))
    assert queued_plan(records, ("key", "fingerprint")).id == plan.id


def test_a_plan_whose_worker_was_killed_is_taken_again(valkey, records):
    expired = Records(valkey.url, lease_s=-1.0)  # every lease has expired already
    plan = queued_plan(expired)
    assert records.new_plan(0.1) == plan.id  # and the worker is killed before it claims it
    assert expired.claim_next("plan", "killed").id == plan.id
    assert expired.claim_stale() == [plan.id]
    assert records.claim_next("plan", "owner").attempt == 2
    assert records.claim_next("plan", "other") is None


def test_a_plan_expires_with_its_record(records):
    plan = queued_plan(records)
    with pytest.raises(Conflict):
        records.delete_job(plan)
    records.claim(plan.id, "owner")
    records.finish(plan.id, "owner", Status.SUCCEEDED, {})
    assert records.ended_before(1e10) == [plan.id]
    records.delete_job(records.job(plan.id))
    assert records.ended_before(1e10) == []
    with pytest.raises(NotFound):
        records.job(plan.id)
