"""Plans are records of their own kind: queued in their own list, and in no list of jobs."""

import pytest

from jobs.errors import Conflict, NotFound
from jobs.job import Job, Status, new_id, now
from jobs.records import Records
from tests.jobs.records.samples import add, queued


def queued_plan(records, idempotency=None, **fields):
    fields = {"model": add(records)[0].id, "status": Status.QUEUED, **fields}
    plan = Job(id=new_id("plan"), kind="plan", tenant="default", spec={}, created_at=now(), **fields)
    return records.create_job(plan, idempotency)


def test_plans_are_queued_in_the_order_in_which_they_were_asked_for(records):
    first, second = queued_plan(records), queued_plan(records)
    queued(records)
    assert [records.next_plan(0.1) for _ in range(3)] == [first.id, second.id, None]


def test_a_plan_whose_result_is_known_is_not_queued(records):
    queued_plan(records, status=Status.SUCCEEDED, finished_at=now())
    assert records.next_plan(0.1) is None


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


def test_a_plan_that_was_lost_on_the_way_is_sent_again_as_a_stale_job(valkey):
    records = Records(valkey.url, lease_s=-1.0)  # every lease has expired already
    plan = queued_plan(records)
    while records.next_plan(0.1) != plan.id:  # its worker is killed before it claims it
        pass
    assert plan.id in records.claim_stale()
    assert records.claim(plan.id, "owner").id == plan.id


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
