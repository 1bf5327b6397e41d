"""The context of a request: its caller, the settings and the connections to the record store and the object store."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Annotated

import redis
from celery import Celery
from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer
from limits.storage import RedisStorage
from limits.strategies import FixedWindowRateLimiter, RateLimiter

from jobs.archive import Archive
from jobs.blobs import Blobs
from jobs.browser_sessions import BrowserSessions
from jobs.epochs import Epochs
from jobs.errors import RateLimited
from jobs.events import Events
from jobs.keys import Allowance, Keys, Scope
from jobs.queue import make_queue
from jobs.records import Records
from jobs.reindex import Restorer
from jobs.sessions import Sessions
from jobs.settings import Settings
from jobs.shares import Shares
from jobs.workers import Workers

MOST_STREAMS = 100
"""The most event streams and waits that one API key may have open at a gateway."""
UNLIMITED = Allowance()
"""The allowance of every caller while authentication is off."""


@dataclass(frozen=True)
class Caller:
    """The tenant of a request, the API key that it came with ("" while authentication is off) and its limits.

    `csrf_token` is that of the browser's session; "" for a request with the key itself, and without authentication.
    """

    tenant: str = "default"
    key_id: str = ""
    allowance: Allowance = UNLIMITED
    scopes: tuple[Scope, ...] = tuple(Scope)
    csrf_token: str = ""

    @property
    def may_write(self) -> bool:
        """True if the caller may create, change and delete."""
        return Scope.WRITE in self.scopes


ANONYMOUS = Caller()
"""The caller while authentication is off."""


class OpenStreams:
    """The open event streams and waits of one gateway, limited by caller."""

    def __init__(self, most: int = MOST_STREAMS) -> None:
        self._most, self._open = most, Counter[tuple[str, str]]()

    @contextmanager
    def place(self, caller: Caller) -> Iterator[None]:
        """Hold one of the caller's places while the block runs.

        Raises:
            RateLimited: all of them are taken.
        """
        name = (caller.tenant, caller.key_id)
        if self._open[name] >= self._most:
            raise RateLimited(f"{self._most} event streams and waits are open; accepted: fewer, so close some first")
        self._open[name] += 1
        try:
            yield
        finally:
            self._open[name] -= 1
            if not self._open[name]:
                del self._open[name]


@dataclass(frozen=True)
class Context:
    """The gateway's connections, shared by all requests, and the caller of one request."""

    settings: Settings
    records: Records
    blobs: Blobs
    archive: Archive
    events: Events
    queue: Celery
    workers: Workers
    keys: Keys
    rates: RateLimiter
    sessions: Sessions
    browser_sessions: BrowserSessions
    shares: Shares
    streams: OpenStreams
    epochs: Epochs
    restorer: Restorer
    caller: Caller = ANONYMOUS
    request_id: str = ""
    affected: list[str] = field(default_factory=list)
    """The ids that the request changes besides those of its path and its answer, for the audit log."""

    @property
    def tenant(self) -> str:
        """The tenant of the caller."""
        return self.caller.tenant


def make_context(settings: Settings) -> Context:
    """Return a context without a caller, connected as the settings say."""
    blobs = Blobs(settings.store_url, settings.download_endpoint)
    records, archive = Records(settings.redis_url, settings.lease_s), Archive(blobs)
    keys = Keys(settings.redis_url, blobs)
    queue = make_queue(settings.redis_url, settings.job_timeout_s)
    return Context(
        settings,
        records,
        blobs,
        archive,
        Events(settings.redis_url),
        queue,
        Workers(settings.redis_url),
        keys,
        FixedWindowRateLimiter(_rate_counters(settings.redis_url)),
        Sessions(settings.redis_url),
        BrowserSessions(settings.redis_url, settings.session_idle_s),
        Shares(settings.redis_url),
        OpenStreams(),
        Epochs(settings.redis_url, blobs),
        Restorer(records, archive, keys, queue),
    )


def _rate_counters(url: str) -> RedisStorage:
    pool = redis.ConnectionPool.from_url(url, socket_timeout=10, socket_connect_timeout=2)
    return RedisStorage("redis://", connection_pool=pool, key_prefix="qd:rate")


KEY_SCHEME = HTTPBearer(
    auto_error=False,
    scheme_name="api_key",
    description="An API key, `qd_...`, created by `quantd keys create`. Not needed while `QUANTD_AUTH` is `off`.",
)
"""For the OpenAPI document alone: `service.guard` checks the key."""


def get_context(request: Request, _: Annotated[object, Security(KEY_SCHEME)]) -> Context:
    """Return the application's context with the caller that the guard identified."""
    context: Context = request.app.state.context
    state = request.scope["state"]
    affected = state.setdefault("affected", [])
    return replace(context, caller=state["caller"], request_id=state["request_id"], affected=affected)


Ctx = Annotated[Context, Depends(get_context)]
"""An endpoint's parameter for the context of its request."""


async def take_place(context: Ctx) -> AsyncIterator[None]:
    """Hold one of the caller's places for event streams until the response is sent.

    Raises:
        RateLimited: all of them are taken.
    """
    with context.streams.place(context.caller):
        yield
