"""The deadline of a job: the time after which its search ends with the best candidate so far.

The search asks the deadline between candidates, layers and batches; nothing is interrupted. What it leaves out depends
on measured time, so equal jobs may then give different models. The report says so.
"""

import time
from collections.abc import Callable


class Deadline:
    """A number of seconds from now, and the work that was left out once they were over.

    Args:
        seconds: the seconds; None for no limit.
        clock: returns the time in seconds.
    """

    def __init__(self, seconds: float | None = None, clock: Callable[[], float] = time.perf_counter) -> None:
        self.seconds, self._clock = seconds, clock
        self._end = None if seconds is None else clock() + seconds
        self._skipped: dict[str, None] = {}

    @property
    def is_over(self) -> bool:
        """True if the time is over."""
        return self._end is not None and self._clock() >= self._end

    def skips(self, work: str) -> bool:
        """Return True if the time is over; the work, a noun phrase for the report, then counts as left out."""
        over = self.is_over
        if over:
            self._skipped[work] = None
        return over

    @property
    def skipped(self) -> tuple[str, ...]:
        """The work that was left out, in order, each once."""
        return tuple(self._skipped)


UNLIMITED = Deadline()
"""The deadline of a job without a limit."""
LIMIT_REACHED = "the time limit of the spec was reached"
"""Why the report lacks a figure."""
