"""Tenants take turns: each has a queue, and none waits for more than one job of each other tenant."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from jobs.job import Status
from jobs.records import Records
from jobs.redis_keys import QUEUED, TURNS, index_key
from tests.jobs.records.samples import in_state, queued


def take(records, count=1, sent=None):
    """Claim the next jobs; a name for each: its tag `name`."""
    jobs = [records.claim_next("job", f"owner{number}", sent) for number in range(count)]
    return "".join(job.tags["name"] if job else "-" for job in jobs)


def submit(records, *names, **fields):
    """Queue jobs: the tenant of the job `a1` is `a`."""
    return [queued(records, tenant=name[0], tags={"name": name}, **fields) for name in names]


def keys(valkey, pattern="*waiting"):
    with redis.Redis.from_url(valkey.url, decode_responses=True) as client:
        return {*client.keys(pattern), *client.keys(f"{TURNS}*")}


def test_the_jobs_of_one_tenant_are_taken_in_their_order(records):
    submit(records, "a1", "a2", "a3")
    assert take(records, 4) == "a1a2a3-"


def test_a_long_queue_of_one_tenant_does_not_stand_before_the_job_of_another(records):
    submit(records, *[f"a{number}" for number in range(100)], "b1")
    assert "b1" in take(records, 2)


def test_tenants_take_turns_and_a_new_one_is_the_last_in_the_round(records):
    submit(records, "a1", "a2", "a3", "b1", "b2")
    assert take(records) == "a1"
    submit(records, "c1")
    assert take(records, 6) == "b1a2c1b2a3-"


def test_a_tenant_gains_nothing_by_submitting_one_job_at_a_time(records):
    submit(records, "a1", "a2", "a3", "b1")
    order = take(records, 2)
    for number in (2, 3):
        submit(records, f"b{number}")
        order += take(records, 2)
    assert order == "a1b1a2b2a3b3"


def test_a_priority_orders_the_jobs_of_its_tenant_and_no_others(records):
    for name, priority in (("a1", -1), ("a2", 0), ("a3", 2), ("a4", 2), ("b1", -10)):
        submit(records, name, priority=priority)
    assert take(records, 5) == "a3b1a4a2a1"


@pytest.mark.parametrize(("waited_s", "order"), [(590, "a2a1"), (610, "a1a2")])
def test_a_step_of_priority_counts_as_ten_minutes_of_waiting(records, valkey, waited_s, order):
    low, _ = *submit(records, "a1", priority=-1), *submit(records, "a2")
    with redis.Redis.from_url(valkey.url) as client:
        client.zincrby(QUEUED, -waited_s, low.id)  # as if it had been queued then
        client.zrem(index_key("a", "job", "waiting"), low.id)
    assert take(records, 2, sent=low.id) == order


@pytest.mark.parametrize("seed", range(5))
def test_the_place_of_a_job_is_its_place_in_the_order_in_which_jobs_are_taken(records, seed):
    choose, waiting = random.Random(seed), {}
    for number in range(40):
        for job in submit(records, f"{choose.choice('aaaabbc')}{number} "):
            waiting[job.tags["name"]] = job
        if choose.random() < 0.3:
            del waiting[take(records)]
        if choose.random() < 0.2 and waiting:
            records.cancel(waiting.pop(choose.choice(list(waiting))))
    places = {name: records.queue_position(job.id) for name, job in waiting.items()}
    assert sorted(places.values()) == list(range(1, len(waiting) + 1))
    assert take(records, len(waiting)) == "".join(sorted(places, key=places.get))
    assert records.claim_next("job", "owner") is None


@pytest.mark.parametrize("status", [Status.RUNNING, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
def test_a_job_that_does_not_wait_has_no_place_and_leaves_nothing_in_the_queue(records, valkey, status):
    job = in_state(records, status)
    assert records.queue_position(job.id) is None
    assert records.claim_next("job", "owner") is None
    assert keys(valkey) == set()


def test_an_unknown_job_has_no_place(records):
    assert records.queue_position("job_none") is None


def test_a_job_that_is_chosen_but_not_claimed_stays_in_the_queue(records, monkeypatch):
    def killed(*_):
        raise redis.ConnectionError

    submit(records, "a1")
    with monkeypatch.context() as patch:
        patch.setattr(records, "claim", killed)
        with pytest.raises(redis.ConnectionError):
            records.claim_next("job", "killed")
    assert take(records, 2) == "a1-"


def test_duplicate_and_surplus_messages_start_no_job_twice(records):
    jobs = submit(records, "a1", "b1")
    assert [take(records, sent=jobs[0].id) for _ in range(4)] == ["a1", "b1", "-", "-"]


def test_every_job_is_taken_once_by_workers_that_take_at_the_same_time(records):
    submit(records, *[f"{tenant}{number} " for number in range(20) for tenant in "ab"])

    def work(worker):
        return [job.id for job in iter(lambda: records.claim_next("job", f"owner{worker}"), None)]

    with ThreadPoolExecutor(8) as pool:
        taken = [job_id for ids in pool.map(work, range(8)) for job_id in ids]
    assert len(taken) == len(set(taken)) == 40


def test_a_job_of_a_lost_worker_comes_first_in_its_tenants_turn(records, valkey):
    submit(records, "a1", "a2", "b1")
    Records(valkey.url, lease_s=-1.0).claim_next("job", "killed")
    assert take(records) == "b1"  # the loss is not noticed yet
    with redis.Redis.from_url(valkey.url) as client:
        client.zadd("qd:open", dict.fromkeys(client.zrange("qd:open", 0, -1), 0))
    assert len(records.claim_stale()) == 2
    assert take(records, 3) == "a1a2-"


def test_a_worker_that_was_thought_to_be_lost_and_goes_on_keeps_its_job(records, valkey):
    (job,) = submit(records, "a1")
    expired = Records(valkey.url, lease_s=-1.0)
    expired.claim_next("job", "stopped")
    assert expired.claim_stale() == [job.id]
    assert records.heartbeat(job.id, "stopped") == "ok"
    assert records.claim_next("job", "owner") is None
    assert keys(valkey) == set()


@pytest.mark.parametrize("loss", ["queue", "turns", "both"])
def test_a_message_or_the_next_check_brings_a_job_back_whose_entry_was_lost(records, valkey, loss):
    (job,) = submit(records, "a1")
    lost = {"queue": [index_key("a", "job", "waiting")], "turns": [f"{TURNS}:job"]}
    with redis.Redis.from_url(valkey.url) as client:
        client.delete(*lost.get(loss, lost["queue"] + lost["turns"]))
        assert records.claim_next("job", "owner") is None
        client.zadd("qd:open", {job.id: 0})
    assert records.claim_stale() == [job.id]
    assert records.queue_position(job.id) == 1
    with redis.Redis.from_url(valkey.url) as client:
        client.delete(*lost.get(loss, lost["queue"] + lost["turns"]))
    assert take(records, sent=job.id) == "a1"


def test_a_message_of_a_job_that_runs_or_has_ended_puts_nothing_into_the_queue(records):
    running, ended = in_state(records, Status.RUNNING), in_state(records, Status.SUCCEEDED)
    for job_id in (running.id, ended.id, "job_none"):
        assert records.claim_next("job", "owner", sent=job_id) is None


def test_plans_of_a_tenant_do_not_wait_for_its_jobs_nor_for_many_plans_of_another(records):
    submit(records, "a1", "a2", "b1")
    for name in ("a3", "a4", "b2"):
        queued(records, tenant=name[0], kind="plan", tags={"name": name})
    plans = [records.claim_next("plan", "owner").tags["name"] for _ in range(3)]
    assert (plans, take(records, 3)) == (["a3", "b2", "a4"], "a1b1a2")


def test_a_restored_job_is_queued(records, valkey):
    (job,) = submit(records, "a1")
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
    assert records.create_job(job, restored=True).id == job.id
    assert take(records) == "a1"
