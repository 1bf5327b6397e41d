"""Waiting for a record store or an object store that is temporarily unavailable."""

import time
from collections.abc import Callable
from typing import TypeVar

import redis
import structlog
from obstore.exceptions import BaseError as StoreError

from jobs.connection import is_unavailable
from jobs.errors import Unavailable
from worker.lease import Lease

PATIENCE_S = 120.0
"""A job waits this long for a store that does not answer."""
RETRY_EVERY_S = 1.0
Result = TypeVar("Result")

log = structlog.get_logger()


def patiently(call: Callable[[], Result], lease: Lease | None = None) -> Result:
    """Return the result of `call`, repeating it while a store is unavailable.

    Args:
        call: the operation; it may run several times.
        lease: the lease of the job, checked before each repetition.

    Raises:
        Unavailable: a store did not answer for `PATIENCE_S`.
        Cancelled, Lost: the job must stop.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return call()
        except (redis.RedisError, StoreError) as error:
            if isinstance(error, redis.RedisError) and not is_unavailable(error):
                raise
            log.warning("a store is unavailable", error=str(error))
        if time.monotonic() > deadline:
            raise Unavailable("the record store or the object store did not answer; submit the job again")
        if lease is not None:
            lease.check()
        time.sleep(RETRY_EVERY_S)
