"""What every endpoint works with: who asks, the settings, the records, the blobs, the queue and the events."""

from dataclasses import dataclass, replace
from typing import Annotated

import redis
from celery import Celery
from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer
from limits.storage import RedisStorage
from limits.strategies import FixedWindowRateLimiter, RateLimiter

from jobs.archive import Archive
from jobs.blobs import Blobs
from jobs.events import Events
from jobs.keys import Allowance, Keys
from jobs.queue import make_queue
from jobs.records import Records
from jobs.sessions import Sessions
from jobs.settings import Settings
from jobs.workers import Workers

ALLOWED = Allowance()
"""Everything: what a caller may take while authentication is off."""


@dataclass(frozen=True)
class Caller:
    """Whose request it is, by which key (none while authentication is off), and what that key allows."""

    tenant: str = "default"
    key_id: str = ""
    allowance: Allowance = ALLOWED


NOBODY = Caller()
"""The caller while authentication is off."""


@dataclass(frozen=True)
class Context:
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
    caller: Caller = NOBODY
    request_id: str = ""

    @property
    def tenant(self) -> str:
        return self.caller.tenant


def make_context(settings: Settings) -> Context:
    blobs = Blobs(settings.store_url, settings.download_endpoint)
    return Context(
        settings,
        Records(settings.redis_url, settings.lease_s),
        blobs,
        Archive(blobs),
        Events(settings.redis_url),
        make_queue(settings.redis_url, settings.job_timeout_s),
        Workers(settings.redis_url),
        Keys(settings.redis_url, blobs),
        FixedWindowRateLimiter(_counters(settings.redis_url)),
        Sessions(settings.redis_url),
    )


def _counters(url: str) -> RedisStorage:
    pool = redis.ConnectionPool.from_url(url, socket_timeout=10, socket_connect_timeout=2)
    return RedisStorage("redis://", connection_pool=pool, key_prefix="qd:rate")


KEY_SCHEME = HTTPBearer(
    auto_error=False, scheme_name="api_key", description="`qd_...`, made by `quantd keys create`; see `service.guard`"
)


def get_context(request: Request, _: Annotated[object, Security(KEY_SCHEME)]) -> Context:
    """The application's parts and the request's own caller, whom the guard has let in."""
    context: Context = request.app.state.context
    state = request.scope["state"]
    return replace(context, caller=state["caller"], request_id=state["request_id"])


Ctx = Annotated[Context, Depends(get_context)]
