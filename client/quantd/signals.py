"""Signals as exceptions of the main thread: SIGINT and SIGTERM interrupt, a timer limits the time of a block."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from quantd.errors import Interrupted, TimeUp

INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Interrupted` in the block at each SIGINT and SIGTERM.

    The first one cancels the job. A second one interrupts that, too, and so ends the command at once.
    """
    handlers = {number: signal.signal(number, _interrupt) for number in INTERRUPTS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raise `TimeUp` if the block has not ended after this many seconds; None is no limit."""
    if seconds is None:
        yield
        return
    handler = signal.signal(signal.SIGALRM, _time_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Put off the signals that arrive in the block until its end.

    A process is started in such a block: an exception before its object exists would leave it behind.
    """
    arrived: list[int] = []
    numbers = (*INTERRUPTS, signal.SIGALRM)
    handlers = {number: signal.signal(number, lambda number, frame: arrived.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for late in arrived:
            signal.raise_signal(late)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise Interrupted(number)


def _time_up(number: int, frame: object) -> NoReturn:
    raise TimeUp
