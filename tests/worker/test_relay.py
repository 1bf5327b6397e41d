"""Progress is relayed at a limited rate, log messages up to a limited number."""

import pytest
import redis

from quant.outcome.stages import Stage
from worker import relay
from worker.protocol import Logged, ProgressLine
from worker.relay import MAX_LOG_CHARACTERS, MAX_LOG_LINES, MAX_PROGRESS_CHARACTERS, Relay


class Recorded:
    """Records that keep what they are told, or cannot be reached."""

    def __init__(self, available=True):
        self.stages, self.messages, self.progress_messages, self.available = [], [], [], available

    def progress(self, job_id, owner, stage, progress):
        if not self.available:
            raise redis.ConnectionError("away")
        self.stages.append((stage, progress.done))
        self.progress_messages.append(progress.message)

    def log(self, job_id, owner, level, message):
        if not self.available:
            raise redis.ConnectionError("away")
        self.messages.append(message)


def line(stage, done, message=""):
    return ProgressLine(event="progress", stage=stage, done=done, total=9, message=message)


def logged(message):
    return Logged(event="log", level="info", message=message)


@pytest.mark.parametrize(
    ("every_s", "expected"),
    [
        (60.0, [(Stage.FITTING, 1), (Stage.EXPORTING, 1)]),
        (-1.0, [(Stage.FITTING, 1), (Stage.FITTING, 2), (Stage.EXPORTING, 1)]),
    ],
)
def test_progress_of_one_stage_is_limited_in_rate(monkeypatch, every_s, expected):
    monkeypatch.setattr(relay, "PROGRESS_EVERY_S", every_s)
    records = Recorded()
    relayed = Relay(records, "job", "owner")
    for stage, done in ((Stage.FITTING, 1), (Stage.FITTING, 2), (Stage.EXPORTING, 1)):
        relayed.progress(line(stage, done))
    assert records.stages == expected


def test_log_messages_are_limited_in_length_and_number():
    records = Recorded()
    relayed = Relay(records, "job", "owner")
    for _ in range(MAX_LOG_LINES + 5):
        relayed.log(logged("x" * (MAX_LOG_CHARACTERS + 1)))
    assert len(records.messages) == MAX_LOG_LINES
    assert records.messages[0] == "x" * MAX_LOG_CHARACTERS
    assert records.messages[-1] == "further messages are not recorded"


def test_all_progress_messages_together_are_limited_and_the_progress_goes_on(monkeypatch):
    monkeypatch.setattr(relay, "PROGRESS_EVERY_S", -1.0)
    records = Recorded()
    relayed = Relay(records, "job", "owner")
    for done in range(400):
        relayed.progress(line(Stage.FITTING, done, "x" * 1024))
    assert len(records.stages) == 400
    assert sum(map(len, records.progress_messages)) == MAX_PROGRESS_CHARACTERS


def test_messages_are_dropped_while_redis_is_away():
    relayed = Relay(Recorded(available=False), "job", "owner")
    relayed.progress(line(Stage.FITTING, 1))
    relayed.log(logged("x"))
