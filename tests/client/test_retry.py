"""Retries of an interrupted transfer."""

import pytest

from quantd import retry
from quantd.errors import ClientError, Unreachable
from quantd.retry import retry_while_progressing


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """The pauses that were made, without waiting for them."""
    made = []
    monkeypatch.setattr(retry.time, "sleep", made.append)
    return made


class Transfer:
    """A transfer that is interrupted at each of the given byte counts, and then ends."""

    def __init__(self, *interruptions):
        self.bytes = 0
        self._interruptions = list(interruptions)

    def attempt(self):
        if not self._interruptions:
            return "result"
        self.bytes = self._interruptions.pop(0)
        raise Unreachable("interrupted")


def test_progress_resets_the_pauses(pauses):
    transfer = Transfer(10, 10, 20, 20)
    assert retry_while_progressing(transfer.attempt, lambda: transfer.bytes) == "result"
    assert pauses == [0.5, 1.0, 0.5, 1.0]


def test_a_transfer_without_progress_is_given_up(pauses):
    transfer = Transfer(*[0] * 20)
    with pytest.raises(Unreachable):
        retry_while_progressing(transfer.attempt, lambda: transfer.bytes)
    assert pauses == list(retry.PAUSES_S)


def test_a_refusal_is_not_retried(pauses):
    def refuse():
        raise ClientError("no")

    with pytest.raises(ClientError):
        retry_while_progressing(refuse, lambda: 0)
    assert pauses == []
