"""The lease on a job: a thread renews it every second, and learns there of a cancellation."""

import threading
import time
from types import TracebackType
from typing import Self

import redis
import structlog

from jobs.records import Records

RENEW_EVERY_S = 1.0

log = structlog.get_logger()


class Lost(Exception):
    """Another worker has the job, or it has ended: this attempt must be discarded."""


class Cancelled(Exception):
    """The caller asked to cancel the job."""


class Lease:
    """A lease that holds the job for `owner` inside a `with` block, even while large blobs are copied.

    `checks` counts the calls of `check`: an attempt that makes progress checks its lease again and again.
    """

    def __init__(self, records: Records, job_id: str, owner: str) -> None:
        self._records, self._job_id, self._owner = records, job_id, owner
        self._answer, self.checks = "ok", 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def ended(self) -> Cancelled | Lost | None:
        """Return the reason why the job must stop, or None if it may go on."""
        if self._answer == "cancel":
            return Cancelled()
        return Lost() if self._answer != "ok" or self._ended.is_set() else None

    def check(self) -> None:
        """Check that the job may go on.

        Raises:
            Cancelled: the caller asked to cancel the job.
            Lost: the owner no longer holds the job, or the block has ended.
        """
        self.checks += 1
        if (reason := self.ended) is not None:
            raise reason

    def wait(self, seconds: float) -> None:
        """Pause while the job may go on.

        Raises:
            Cancelled, Lost: the job must stop.
        """
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, RENEW_EVERY_S))
        self.check()

    def _renew(self) -> None:
        while not self._ended.wait(RENEW_EVERY_S):
            try:
                self._answer = self._records.heartbeat(self._job_id, self._owner)
            except redis.RedisError as error:  # the job goes on: `finish` checks the owner
                log.warning("lease not renewed", job=self._job_id, error=str(error))
