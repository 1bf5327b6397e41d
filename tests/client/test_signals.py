"""Signals as exceptions, and blocks in which they are put off."""

import signal

import pytest

from quantd.errors import Interrupted, TimeUp
from quantd.signals import interruptible, time_limit, uninterrupted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_a_block_is_put_off_until_its_end(number):
    steps = []

    def interrupted_block():
        with interruptible(), uninterrupted():
            signal.raise_signal(number)
            steps.append("whole")

    with pytest.raises(Interrupted) as raised:
        interrupted_block()
    assert (raised.value.signal_number, steps) == (number, ["whole"])


def test_the_end_of_a_time_limit_is_put_off_too():
    with pytest.raises(TimeUp), time_limit(60), uninterrupted():
        signal.raise_signal(signal.SIGALRM)


def test_a_block_without_a_signal_leaves_the_handlers_as_they_were():
    before = signal.getsignal(signal.SIGTERM)
    with uninterrupted():
        pass
    assert signal.getsignal(signal.SIGTERM) == before
