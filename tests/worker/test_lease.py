"""A lease is renewed while the job runs, and reports a cancellation or a loss."""

import time

import pytest
import redis

from worker.lease import Cancelled, Lease, Lost


class Answers:
    """Records that answer each heartbeat with the next of these; the last one again and again."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), 0

    def heartbeat(self, job_id, owner):
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr("worker.lease.RENEW_EVERY_S", 0.01)


def until_it_stops(records, within_s=2.0):
    with Lease(records, "job", "owner") as lease:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            lease.check()
            time.sleep(0.005)


@pytest.mark.parametrize(("answer", "stops"), [("cancel", Cancelled), ("lost", Lost), ("missing", Lost)])
def test_a_cancelled_or_lost_job_stops(answer, stops):
    with pytest.raises(stops):
        until_it_stops(Answers("ok", answer))


def test_the_job_goes_on_while_redis_is_unavailable():
    records = Answers("ok", redis.ConnectionError("away"), redis.TimeoutError("away"), "ok")
    until_it_stops(records, within_s=0.2)
    assert records.asked > 4


def test_a_lease_is_not_renewed_after_its_end():
    records = Answers("ok")
    until_it_stops(records, within_s=0.05)
    asked = records.asked
    time.sleep(0.05)
    assert records.asked == asked
