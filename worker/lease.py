"""The lease on a job: renewed each second while the job is worked on, and where a cancel is heard of."""

import threading
from types import TracebackType
from typing import Self

import redis
import structlog

from jobs.records import Records

RENEW_EVERY_S = 1.0

log = structlog.get_logger()


class Lost(Exception):
    """The job is another worker's by now, or has ended: what was done here does not count."""


class Cancelled(Exception):
    """The caller asked for the job to stop."""


class Lease:
    """`with Lease(records, job_id, owner) as lease:` keeps the job for `owner`, also while large blobs are copied."""

    def __init__(self, records: Records, job_id: str, owner: str) -> None:
        self._records, self._job_id, self._owner = records, job_id, owner
        self._answer = "ok"
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

    def check(self) -> None:
        """Go on, unless the job is to stop.

        Raises:
            Cancelled: the caller asked for it.
            Lost: the job is no longer this owner's.
        """
        if self._answer == "cancel":
            raise Cancelled
        if self._answer != "ok":
            raise Lost

    def _renew(self) -> None:
        while not self._ended.wait(RENEW_EVERY_S):
            try:
                self._answer = self._records.heartbeat(self._job_id, self._owner)
            except redis.RedisError as error:  # the job goes on: the record says at its end whose it is
                log.warning("lease not renewed", job=self._job_id, error=str(error))
