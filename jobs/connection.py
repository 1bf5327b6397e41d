"""Connections to Redis, and the errors of it that pass."""

from collections.abc import Callable
from typing import Any

import redis

ANSWERS_WITHIN_S = 10
CONNECTS_WITHIN_S = 2
_PASSING = ("MISCONF", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "UNKILLABLE", "BUSY")
"""The codes of answers that refuse a write for now; redis-py has classes of its own for READONLY, OOM and LOADING."""


def connect(url: str, prepare: Callable[[Any], None] | None = None) -> redis.Redis:
    """Return a pool of connections that gives up on a silent server instead of waiting for it.

    `prepare` is called with each new connection of redis-py, and must call its `on_connect`.
    """
    return redis.Redis.from_url(
        url, decode_responses=True, socket_timeout=ANSWERS_WITHIN_S, socket_connect_timeout=CONNECTS_WITHIN_S,
        redis_connect_func=prepare,
    )  # fmt: skip


def server_time(client: redis.Redis) -> float:
    """Return the time of Redis in seconds since 1970: clocks of gateways and workers may differ."""
    seconds, microseconds = client.time()
    return seconds + microseconds / 1_000_000


def is_unavailable(error: redis.RedisError) -> bool:
    """Return True if the same call may succeed later.

    Redis is then away, or it takes no writes: it became a replica, its memory or its disk is full, it has too few
    replicas, or it is still loading.
    """
    if isinstance(error, redis.ResponseError):
        return isinstance(error, redis.ReadOnlyError | redis.OutOfMemoryError) or str(error).startswith(_PASSING)
    return isinstance(error, redis.ConnectionError | redis.TimeoutError)
