"""Following the events of a job: a Redis stream to which every change of its record appends."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from jobs.connection import is_unavailable
from jobs.redis_keys import events_key

BLOCK_MS = 200
"""The longest wait of the reader: so late it hears of a stream that is followed from then on."""
IDLE_S = 1.0
CONNECTIONS = 16
"""Connections of the followers, which wait for a free one; the reader has its own."""
RETRY_S = 1.0

log = structlog.get_logger()


@dataclass(frozen=True)
class Event:
    """An event; `id` is its position in the stream, `data` a JSON document."""

    id: str
    kind: str
    data: str


@dataclass
class _Followed:
    """A stream that somebody follows: the id of the last entry that the reader saw, and the followers to wake."""

    last: str
    followers: set[asyncio.Event] = field(default_factory=set)


class Events:
    """The event streams of all jobs.

    One reader waits for new entries of all followed streams, over one connection, and wakes their followers. So any
    number of followers costs one waiting connection.
    """

    def __init__(self, url: str) -> None:
        options: dict[str, Any] = {
            "decode_responses": True, "socket_timeout": 10, "socket_connect_timeout": 2,
            "retry": Retry(ConstantBackoff(0.1), 1),  # a connection that idles may be closed
        }  # fmt: skip
        pool = redis.asyncio.BlockingConnectionPool.from_url(url, max_connections=CONNECTIONS, timeout=10, **options)
        self._redis = redis.asyncio.Redis.from_pool(pool)
        self._reader_redis = redis.asyncio.Redis.from_url(url, **options)
        self._followed: dict[str, _Followed] = {}
        self._reader: asyncio.Task[None] | None = None
        self.ended = False

    def end(self) -> None:
        """End every follower, and those that begin later at once, because this process stops."""
        self.ended = True
        for followed in self._followed.values():
            for news in followed.followers:
                news.set()

    async def follow(self, job_id: str, after: str = "0") -> AsyncGenerator[Event | None]:
        """Yield the events after the id `after` as they arrive, and None after each second without one.

        While Redis is unavailable there are no events: they come when it is back. After `end` there are no more.

        Raises:
            redis.RedisError: Redis refuses the request for good.
        """
        key, news = events_key(job_id), asyncio.Event()
        with self._following(key, after, news):
            while not self.ended:
                news.clear()  # before the entries are read: an entry that comes later sets it again
                try:
                    entries: Any = await self._redis.xrange(key, min=f"({after}", count=100)
                except redis.RedisError as error:
                    if not is_unavailable(error):
                        raise
                    await asyncio.sleep(RETRY_S)
                    continue
                for after, fields in entries:
                    yield Event(after, fields["event"], fields["data"])
                if entries:
                    continue
                try:
                    await asyncio.wait_for(news.wait(), IDLE_S)
                except TimeoutError:
                    yield None

    async def history(self, job_id: str) -> list[Event]:
        """Return the events of a job up to now, oldest first; none if they have expired."""
        entries: Any = await self._redis.xrange(events_key(job_id))
        return [Event(event_id, fields["event"], fields["data"]) for event_id, fields in entries]

    async def close(self) -> None:
        """End the reader and close the connections."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()
        await self._reader_redis.aclose()

    @contextlib.contextmanager
    def _following(self, key: str, after: str, news: asyncio.Event) -> Iterator[None]:
        """Set `news` at each new entry of the stream while the block runs."""
        followed = self._followed.setdefault(key, _Followed(after))
        followed.followers.add(news)
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read())
        try:
            yield
        finally:
            followed.followers.discard(news)
            if not followed.followers:
                self._followed.pop(key, None)

    async def _read(self) -> None:
        """Wait for entries and wake their followers, until nobody follows a stream."""
        while self._followed:
            try:
                positions: Any = {key: followed.last for key, followed in self._followed.items()}
                streams: Any = await self._reader_redis.xread(positions, count=100, block=BLOCK_MS)
            except redis.RedisError as error:  # the followers find out by themselves
                log.warning("the event streams cannot be read", error=str(error))
                await asyncio.sleep(RETRY_S)
                continue
            for key, entries in streams or []:
                if key in self._followed:
                    self._followed[key].last = entries[-1][0]
                    for news in self._followed[key].followers:
                        news.set()
