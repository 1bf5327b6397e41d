"""Which workers are up, and what the processes of their jobs are kept from."""

import secrets
import time
from typing import cast

import redis

from jobs.job import FrozenModel

SILENT_S = 45.0
"""A worker that gave no sign for so long is no longer told of."""
_WORKERS = "qd:workers"
"""Sorted set: workers by the time of their last sign."""


class Worker(FrozenModel):
    """A worker by a name that says nothing, and its isolation by parts."""

    name: str
    isolation: tuple[str, ...]


class Workers:
    """The workers that gave a sign lately.

    Raises:
        redis.RedisError: Redis is away.
    """

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url, decode_responses=True, socket_timeout=10, socket_connect_timeout=2)

    def announce(self, worker: Worker) -> None:
        """A sign of life; to be given again before `SILENT_S` are over."""
        self._redis.zadd(_WORKERS, {worker.model_dump_json(): time.time()})
        self._redis.zremrangebyscore(_WORKERS, "-inf", time.time() - SILENT_S)

    def leave(self, worker: Worker) -> None:
        self._redis.zrem(_WORKERS, worker.model_dump_json())

    def all(self) -> list[Worker]:
        found = cast(list[str], self._redis.zrangebyscore(_WORKERS, time.time() - SILENT_S, "+inf"))
        return [Worker.model_validate_json(data) for data in found]


def worker_name() -> str:
    return secrets.token_hex(4)
