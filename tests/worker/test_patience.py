"""A store that is unavailable is waited for, and given up after a while."""

import pytest
import redis

from jobs.errors import Unavailable
from worker import patience
from worker.lease import Cancelled
from worker.patience import patiently


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(patience, "RETRY_EVERY_S", 0.001)


class Flaky:
    """A call that fails a number of times before it succeeds."""

    def __init__(self, failures):
        self.failures = failures

    def __call__(self):
        if self.failures:
            self.failures -= 1
            raise redis.ConnectionError("away")
        return "result"


def test_the_call_is_repeated_until_the_store_answers():
    assert patiently(Flaky(3)) == "result"


def test_a_store_that_stays_away_is_given_up(monkeypatch):
    monkeypatch.setattr(patience, "PATIENCE_S", 0.05)
    with pytest.raises(Unavailable, match="submit the job again"):
        patiently(Flaky(10**9))


def test_a_cancelled_job_does_not_wait():
    class Lease:
        def check(self):
            raise Cancelled

    with pytest.raises(Cancelled):
        patiently(Flaky(1), Lease())


def test_other_errors_are_not_repeated():
    def broken():
        raise ValueError("a mistake")

    with pytest.raises(ValueError, match="a mistake"):
        patiently(broken)
