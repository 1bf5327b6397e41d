"""The workers that are running, with the isolation of their job processes."""

import secrets
from typing import cast

from jobs.connection import connect, server_time
from jobs.job import FrozenModel

SILENT_S = 45.0
"""A worker that did not announce itself for this long is no longer listed."""
_WORKERS = "qd:workers"
"""Sorted set: workers, by the time of their last announcement."""


class Worker(FrozenModel):
    """A running worker."""

    name: str
    """A random name."""
    isolation: tuple[str, ...]
    """The parts of the sandbox that work on the worker's machine."""


class Workers:
    """The workers that announced themselves recently.

    Raises:
        redis.RedisError: Redis cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self._redis = connect(url)

    def announce(self, worker: Worker) -> None:
        """Note that a worker is running; repeat it before `SILENT_S` have passed."""
        now = server_time(self._redis)
        self._redis.zadd(_WORKERS, {worker.model_dump_json(): now})
        self._redis.zremrangebyscore(_WORKERS, "-inf", now - SILENT_S)

    def leave(self, worker: Worker) -> None:
        """Remove a worker that stops."""
        self._redis.zrem(_WORKERS, worker.model_dump_json())

    def all(self) -> list[Worker]:
        """Return the running workers."""
        documents = cast(list[str], self._redis.zrangebyscore(_WORKERS, server_time(self._redis) - SILENT_S, "+inf"))
        return [Worker.model_validate_json(data) for data in documents]


def worker_name() -> str:
    """Return a new random name."""
    return secrets.token_hex(4)
