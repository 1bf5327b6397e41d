"""Each promise of a random-fault run holds for an honest history and is broken by a planted violation."""

from dataclasses import replace

import pytest

from benchmarks.reliability.figures import figures
from benchmarks.reliability.history import (
    Accepted,
    Answer,
    Cancelled,
    Ended,
    Fault,
    History,
    Notified,
    Result,
    Seen,
    Streamed,
    Uploaded,
    Used,
    calm_seconds,
    disturbed,
)
from benchmarks.reliability.promises import PROMISES, verdicts

BYTES = {"model.onnx": "aa", "report.json": "bb"}
ENDED = Result("job_1", "succeeded", "", BYTES, BYTES, (100.0, 101.0, 102.0), 1)
CANCELLED = Result("job_2", "cancelled", times=(100.0, 101.0))


def honest(*more, without=(), results=(ENDED, CANCELLED), orphans=()):
    """Return the history of a job that succeeds and of one that is cancelled, with a worker that is killed."""
    records = [
        Accepted(1.0, "job_1", "red", "key_1", "plain"),
        Accepted(1.5, "job_1", "red", "key_1", "plain"),
        Accepted(2.0, "job_2", "red", "key_2", "plain"),
        Seen(2.0, 2.1, "job_1", "queued"),
        Seen(6.0, 6.1, "job_1", "succeeded"),
        Cancelled(3.0, "job_2"),
        Seen(6.5, 6.6, "job_2", "cancelled"),
        Streamed("job_1", ("1-0", "1-1", "2-0"), ("queued", "running", "succeeded"), True),
        Notified(7.0, "job_1", "succeeded", True),
        Answer(3.0, 3.1, "gateway1", "foreign", "/v1/jobs/job_1", 404),
        Answer(3.0, 3.1, "gateway1", "submit", "key_1", 202),
        Answer(3.0, 3.1, "gateway1", "submit", "key_1", 503, True),
        Answer(3.0, 3.1, "gateway1", "livez", "gateway1", 200),
        Answer(4.2, 4.3, "gateway1", "readyz", "gateway1", 503, True),
        Answer(9.0, 9.1, "gateway1", "readyz", "gateway1", 200),
        Uploaded("model_1", "cc", "cc"),
        Used("red", "after the run", 0, 10, 10),
        Fault("kill worker", "worker1", 4.0, 5.0),
        *results,
    ]
    history = History({"plain": replace(ENDED, job="job_0")}, {"job_1"}, list(orphans))
    history.add(*(record for record in records if type(record) not in without), *more)
    return history


FAILED = Result("job_1", "failed", "worker.crashed", times=(100.0, 101.0, 102.0), attempt=3)
PLANTED = {
    "missing at the end": ("jobs_are_found", honest(results=(Result("job_1", "missing"), CANCELLED))),
    "missing in between": ("jobs_are_found", honest(Seen(3.0, 3.1, "job_1", "missing"))),
    "missing long after a fail-over": (
        "jobs_are_found",
        honest(Fault("fail-over", "records", 10, 11, lossy=True), Seen(75.0, 75.1, "job_1", "missing")),
    ),
    "not ended": ("jobs_end", honest(results=(Result("job_1", "running"), CANCELLED))),
    "ended twice": ("ends_stay", honest(Seen(8.0, 8.1, "job_1", "cancelled"))),
    "runs again": ("ends_stay", honest(Seen(8.0, 8.1, "job_1", "running"))),
    "another end after the run": ("ends_stay", honest(results=(FAILED, CANCELLED))),
    "two jobs for a key": ("keys_give_one_job", honest(Accepted(3.0, "job_3", "red", "key_1", "plain"))),
    "other bytes": (
        "equal_input_gives_equal_bytes",
        honest(results=(replace(ENDED, digests=BYTES | {"model.onnx": "dd"}), CANCELLED)),
    ),
    "an artifact less": (
        "equal_input_gives_equal_bytes",
        honest(results=(replace(ENDED, digests={"model.onnx": "aa"}), CANCELLED)),
    ),
    "bytes that are not listed": (
        "equal_input_gives_equal_bytes",
        honest(results=(replace(ENDED, listed=BYTES | {"model.onnx": "dd"}), CANCELLED)),
    ),
    "failed without a fault": (
        "failures_have_a_reason",
        honest(results=(FAILED, CANCELLED), without=(Fault,)),
    ),
    "failed for another reason": (
        "failures_have_a_reason",
        honest(results=(replace(FAILED, code="model.invalid"), CANCELLED)),
    ),
    "cancelled without a request": ("failures_have_a_reason", honest(without=(Cancelled,))),
    "cancelled late": (
        "cancels_are_heard",
        honest(Cancelled(100.0, "job_3"), Seen(112.0, 112.1, "job_3", "cancelled")),
    ),
    "cancelled, and no end": ("cancels_are_heard", honest(Cancelled(100.0, "job_3"))),
    "events again": ("events_are_ordered", honest(Streamed("job_1", ("1-1", "1-1"), ("queued", "succeeded"), True))),
    "events back": ("events_are_ordered", honest(Streamed("job_1", ("2-0", "1-9"), ("queued", "succeeded"), True))),
    "no first event": ("events_are_ordered", honest(Streamed("job_1", ("1-1", "1-2"), ("running", "succeeded"), True))),
    "an end in between": (
        "events_are_ordered",
        honest(Streamed("job_1", ("1-1", "1-2", "1-3"), ("queued", "failed", "succeeded"), True)),
    ),
    "another end in events": (
        "events_are_ordered",
        honest(Streamed("job_1", ("1-1", "1-2"), ("queued", "failed"), True)),
    ),
    "an endless stream": ("events_are_ordered", honest(Streamed("job_1", ("1-1",), ("queued",), False))),
    "no webhook": ("webhooks_arrive", honest(without=(Notified,))),
    "a webhook with another state": ("webhooks_arrive", honest(Notified(8.0, "job_1", "failed", True))),
    "an unsigned webhook": ("webhooks_arrive", honest(Notified(8.0, "job_1", "succeeded", False))),
    "seen by a stranger": (
        "tenants_are_apart",
        honest(Answer(3.0, 3.1, "gateway1", "foreign", "/v1/jobs/job_1", 200)),
    ),
    "an upload is lost": ("uploads_are_found", honest(Uploaded("model_2", "dd", None))),
    "other bytes of an upload": ("uploads_are_found", honest(Uploaded("model_2", "dd", "ee"))),
    "an internal error": ("failing_stores_are_503", honest(Answer(3.0, 3.1, "gateway1", "show", "job_1", 500))),
    "503 without Retry-After": ("failing_stores_are_503", honest(Answer(3.0, 3.1, "gateway1", "show", "job_1", 503))),
    "slow to live": ("gateways_stay_live", honest(Answer(3.0, 9.0, "gateway1", "livez", "gateway1", 200))),
    "not live": ("gateways_stay_live", honest(Answer(3.0, 3.1, "gateway1", "livez", "gateway1", None))),
    "a worker that ends": ("processes_stay", honest(Ended(3.0, "worker1", 0))),
    "times back": ("times_are_in_order", honest(results=(replace(ENDED, times=(100.0, 230.0, 120.0)), CANCELLED))),
    "an open job is counted": ("quotas_return", honest(Used("red", "later", 1, 10, 10))),
    "bytes are counted twice": ("quotas_return", honest(Used("red", "later", 0, 20, 10))),
    "an orphan": ("nothing_is_orphaned", honest(orphans=["red/jobs/job_1/aa/model.onnx"])),
}
"""A violation of each promise, by a name: the promise that must see it, and the history."""


def broken(history):
    return {
        check.__name__
        for check, verdict in zip(PROMISES, verdicts(history), strict=True)
        if verdict.violations
    }  # fmt: skip


def test_an_honest_history_keeps_every_promise():
    history = honest()
    assert broken(history) == set()
    assert [verdict.promise for verdict in verdicts(history) if not verdict.checked] == []


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_is_seen(name):
    promise, history = PLANTED[name]
    assert promise in broken(history)


def test_every_promise_has_a_planted_violation():
    assert {promise for promise, _ in PLANTED.values()} == {check.__name__ for check in PROMISES}


HONEST = {
    "failed under a fault that explains it": honest(
        results=(FAILED, CANCELLED), without=(Seen, Streamed, Notified)
    ),
    "missing while a fail-over is mended": honest(
        Fault("fail-over", "records", 10.0, 11.0, lossy=True), Seen(30.0, 30.1, "job_1", "missing")
    ),
    "a late cancellation while a store is away": honest(
        Cancelled(100.0, "job_3"), Fault("stop record store", "records", 101.0, 110.0),
        Seen(115.0, 115.1, "job_3", "cancelled"),
    ),
    "not live while the gateway is stopped": honest(
        Fault("stop gateway", "gateway1", 10.0, 20.0), Answer(12.0, 22.0, "gateway1", "livez", "gateway1", None)
    ),
    "a state that an overlapping look missed": honest(Seen(5.9, 7.0, "job_1", "running")),
    "a cached result": honest(Streamed("job_1", ("1-0",), ("succeeded",), True)),
    "a stream that begins again with a new attempt": honest(
        Streamed("job_1", ("1-0", "1-1", "2-0", "3-0"), ("queued", "running", "running", "succeeded"), True)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HONEST)
def test_what_the_contract_allows_is_no_violation(name):
    unseen = {"webhooks_arrive", "cancels_are_heard"} if name.startswith("failed") else set()
    assert broken(HONEST[name]) <= unseen


def test_the_time_of_faults_is_not_counted():
    faults = [Fault("a", "x", 1.0, 2.0), Fault("b", "y", 1.5, 4.0), Fault("c", "x", 9.0, 10.0)]
    intervals = disturbed(faults, grace_s=1.0)
    assert intervals == [(1.0, 5.0), (9.0, 11.0)]
    assert calm_seconds(0.0, 12.0, intervals) == pytest.approx(6.0)
    assert calm_seconds(2.0, 3.0, intervals) == 0.0


def test_a_history_is_read_as_it_was_written(tmp_path):
    history = honest(orphans=["a"])
    history.write(tmp_path / "history.json")
    assert History.read(tmp_path / "history.json") == history


def test_the_figures_count_jobs_faults_and_recovery():
    document = figures(honest())
    assert document["jobs"] == 2
    assert document["ends"] == {"succeeded": 1, "cancelled": 1}
    assert document["faults"] == {
        "kill worker": {
            "count": 1,
            "ready_seconds": {"median": 4.1, "worst": 4.1},
            "next_end_seconds": {"median": 1.1, "worst": 1.1},
        }
    }
    assert sum(promise["violations"] for promise in document["promises"]) == 0


def test_a_gateway_that_was_ready_all_the_time_needed_none_to_recover():
    history = History()
    history.add(
        Fault("kill job", "worker1", 4.0, 5.0),
        Answer(4.5, 4.6, "gateway1", "readyz", "gateway1", 200),
        Answer(9.0, 9.1, "gateway1", "readyz", "gateway1", 200),
    )
    assert figures(history)["faults"]["kill job"]["ready_seconds"] == {"median": 0.0, "worst": 0.0}
