"""Following a job's events: the Redis stream that its record's changes append to."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from jobs.redis_keys import events_key

BLOCK_MS = 1000


@dataclass(frozen=True)
class Event:
    """One event; `id` is its place in the stream, `data` a JSON document."""

    id: str
    kind: str
    data: str


class Events:
    """The event streams of all jobs, over one pool of asynchronous connections."""

    def __init__(self, url: str) -> None:
        self._redis = redis.asyncio.Redis.from_url(
            url, decode_responses=True, socket_timeout=10, socket_connect_timeout=2
        )

    async def follow(self, job_id: str, after: str = "0") -> AsyncIterator[Event | None]:
        """The events behind `after` as they come; None each second in which none came."""
        while True:
            found: Any = await self._redis.xread({events_key(job_id): after}, block=BLOCK_MS, count=100)
            if not found:
                yield None
            for _, entries in found or []:
                for after, fields in entries:
                    yield Event(after, fields["event"], fields["data"])

    async def close(self) -> None:
        await self._redis.aclose()
