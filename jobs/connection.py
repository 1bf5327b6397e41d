"""Connections to Redis."""

import redis

ANSWERS_WITHIN_S = 10
CONNECTS_WITHIN_S = 2


def connect(url: str) -> redis.Redis:
    """Return a pool of connections that gives up on a silent server instead of waiting for it."""
    return redis.Redis.from_url(
        url, decode_responses=True, socket_timeout=ANSWERS_WITHIN_S, socket_connect_timeout=CONNECTS_WITHIN_S
    )
