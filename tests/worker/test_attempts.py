"""An attempt whose call hangs is abandoned when its job is cancelled, and too many of them are reported."""

import contextvars
import threading
import time

import pytest

from jobs.errors import Unavailable
from worker import attempts
from worker.attempts import MOST_ABANDONED, Attempts
from worker.lease import Cancelled, Lease, Lost


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(attempts, "TICK_S", 0.01)
    monkeypatch.setattr(attempts, "ENDS_WITHIN_S", 0.05)
    monkeypatch.setattr("worker.lease.RENEW_EVERY_S", 0.01)


class Records:
    """Records that answer every heartbeat the same."""

    def __init__(self, answer="ok"):
        self.answer = answer

    def heartbeat(self, job_id, owner):
        return self.answer


class Hanging:
    """A call that hangs until `go_on` is set and then checks its lease, as an attempt does."""

    def __init__(self):
        self.go_on, self.heard = threading.Event(), threading.Event()

    def __call__(self, lease):
        self.go_on.wait(30)
        try:
            lease.check()
        except (Cancelled, Lost):
            self.heard.set()
            raise


@pytest.fixture
def hanging():
    call = Hanging()
    yield call
    call.go_on.set()


def run(attempt, answer="ok", of=None):
    with Lease(Records(answer), "job", "owner") as lease:
        return (of or Attempts(lambda: None)).run(lambda: attempt(lease), lease)


def test_the_result_and_the_error_of_an_attempt_are_those_of_its_call():
    assert run(lambda _: 7) == 7
    with pytest.raises(ZeroDivisionError):
        run(lambda _: 1 // 0)
    with pytest.raises(TimeoutError, match="its own"):
        run(lambda _: (_ for _ in ()).throw(TimeoutError("its own")))


def test_an_attempt_runs_in_the_context_of_its_caller():
    name = contextvars.ContextVar("name")
    name.set("trace")
    assert run(lambda _: name.get()) == "trace"


@pytest.mark.parametrize(("answer", "reason"), [("cancel", Cancelled), ("lost", Lost), ("missing", Lost)])
def test_an_attempt_that_hangs_is_abandoned_when_its_job_must_stop(hanging, answer, reason):
    with pytest.raises(reason):
        run(hanging, answer)
    assert not hanging.heard.is_set()
    hanging.go_on.set()
    assert hanging.heard.wait(10)  # it ends by itself when its call returns


def test_an_attempt_that_hears_of_the_cancellation_cleans_up_before_the_slot_is_free():
    cleaned = []

    def attempt(lease):
        try:
            while True:
                lease.check()
                time.sleep(0.005)
        finally:
            cleaned.append(True)

    with pytest.raises(Cancelled):
        run(attempt, "cancel")
    assert cleaned == [True]


def test_a_call_that_hangs_without_a_cancellation_is_given_up_after_a_while(hanging, monkeypatch):
    monkeypatch.setattr(attempts, "SILENT_S", 0.1)
    with pytest.raises(Unavailable, match="submit the job again"):
        run(hanging)
    hanging.go_on.set()
    assert hanging.heard.wait(10)  # its lease has ended, so it does not go on in secret


def test_a_long_attempt_that_checks_its_lease_does_not_hang(monkeypatch):
    monkeypatch.setattr(attempts, "SILENT_S", 0.1)

    def attempt(lease):
        for _ in range(40):
            lease.check()
            time.sleep(0.01)
        return "result"

    assert run(attempt) == "result"


def test_too_many_hanging_attempts_are_reported_once_and_those_that_ended_do_not_count():
    reports, calls = [], [Hanging() for _ in range(2 * MOST_ABANDONED)]
    of = Attempts(lambda: reports.append(True))
    for call in calls[: MOST_ABANDONED - 1]:
        with pytest.raises(Cancelled):
            run(call, "cancel", of)
        call.go_on.set()
        assert call.heard.wait(10)
        time.sleep(0.05)
    assert reports == []
    for number, call in enumerate(calls[MOST_ABANDONED - 1 :], 1):
        with pytest.raises(Cancelled):
            run(call, "cancel", of)
        assert len(reports) == (number >= MOST_ABANDONED)
    for call in calls:
        call.go_on.set()
