"""Following the events of a job: a Redis stream to which every change of its record appends."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from jobs.redis_keys import events_key

BLOCK_MS = 1000


@dataclass(frozen=True)
class Event:
    """An event; `id` is its position in the stream, `data` a JSON document."""

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
        """Yield the events after the id `after` as they arrive, and None after each second without one."""
        while True:
            streams: Any = await self._redis.xread({events_key(job_id): after}, block=BLOCK_MS, count=100)
            if not streams:
                yield None
            for _, entries in streams or []:
                for after, fields in entries:
                    yield Event(after, fields["event"], fields["data"])

    async def history(self, job_id: str) -> list[Event]:
        """Return the events of a job up to now, oldest first; none if they have expired."""
        entries: Any = await self._redis.xrange(events_key(job_id))
        return [Event(event_id, fields["event"], fields["data"]) for event_id, fields in entries]

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
