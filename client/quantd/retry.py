"""Retries of an interrupted transfer for as long as it makes progress."""

import time
from collections.abc import Callable
from typing import TypeVar

from quantd.errors import Unreachable

PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""The pause after each failure in a row. After the last one the transfer is given up."""

Result = TypeVar("Result")


def retry_while_progressing(attempt: Callable[[], Result], transferred: Callable[[], int]) -> Result:
    """Return the result of `attempt`, repeated after each interruption; progress resets the pauses.

    Args:
        attempt: Continues the transfer.
        transferred: Returns the number of bytes transferred so far.

    Raises:
        Unreachable: no byte was transferred for half a minute.
    """
    failures = 0
    while True:
        before = transferred()
        try:
            return attempt()
        except Unreachable:
            failures = 1 if transferred() > before else failures + 1
            if failures > len(PAUSES_S):
                raise
        time.sleep(PAUSES_S[failures - 1])
