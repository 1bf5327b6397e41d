"""Attempts at jobs in threads that can be abandoned: a store or a process that hangs holds no slot of a worker."""

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

import structlog

from jobs.errors import Unavailable
from worker.lease import Lease

TICK_S = 0.25
ENDS_WITHIN_S = 2.0
"""An attempt that must stop ends by itself within this time, unless a call hangs in it."""
SILENT_S = 300.0
"""An attempt that did not check its lease for this long hangs."""
MOST_ABANDONED = 4
"""The number of abandoned attempts whose calls still hang after which the worker should be replaced."""
Result = TypeVar("Result")

log = structlog.get_logger()


class Attempts:
    """The attempts of one worker.

    An abandoned attempt does no harm when its call returns at last: its lease has ended, so it only removes its process
    and its folder.
    """

    def __init__(self, exhausted: Callable[[], object]) -> None:
        """Prepare for attempts; `exhausted` is called when `MOST_ABANDONED` of them hang."""
        self._exhausted = exhausted
        self._abandoned: list[threading.Thread] = []
        self._lock = threading.Lock()

    def run(self, attempt: Callable[[], Result], lease: Lease) -> Result:
        """Return the result of `attempt`, or abandon it if a call hangs in it.

        Raises:
            Cancelled, Lost: the job must stop.
            Unavailable: a call hung for `SILENT_S`.
            Exception: any error of `attempt`.
        """
        future: Future[Result] = Future()
        # One thread for the whole attempt: the kernel kills a process when the thread that started it ends.
        thread = threading.Thread(target=contextvars.copy_context().run, args=(_finish, future, attempt), daemon=True)
        thread.start()
        error = _watch(future, lease)
        if error is None or wait([future], ENDS_WITHIN_S).done:
            return future.result()
        self._abandon(thread)
        raise error

    def _abandon(self, thread: threading.Thread) -> None:
        with self._lock:
            before = len(self._abandoned)
            self._abandoned = [*filter(threading.Thread.is_alive, self._abandoned), thread]
            count = len(self._abandoned)
        log.warning("attempt abandoned, since a call hangs in it", abandoned=count)
        if count >= MOST_ABANDONED > before:
            self._exhausted()


def _watch(future: Future[Result], lease: Lease) -> Exception | None:
    """Wait for the end of an attempt; return the reason why it must stop earlier, or None."""
    checks, silent_s = lease.checks, 0.0
    while not wait([future], TICK_S).done:
        if lease.ended is not None:
            return lease.ended
        # Ticks, not a clock: this process may be stopped for a while, and its attempts with it.
        checks, silent_s = lease.checks, silent_s + TICK_S if lease.checks == checks else 0.0
        if silent_s >= SILENT_S:
            return Unavailable(f"the object store or the job's process hung for {SILENT_S:.0f} s; submit the job again")
    return None


def _finish(future: Future[Result], attempt: Callable[[], Result]) -> None:
    try:
        future.set_result(attempt())
    except BaseException as error:  # noqa: BLE001 - the waiting thread raises it
        future.set_exception(error)
