"""What every endpoint works with: the settings, the records, the blobs, the queue and the events."""

from dataclasses import dataclass
from typing import Annotated

from celery import Celery
from fastapi import Depends, Request

from jobs.blobs import Blobs
from jobs.events import Events
from jobs.queue import make_queue
from jobs.records import Records
from jobs.settings import Settings

TENANT = "default"
"""The only tenant while there are no keys; every key in Redis and in the object store is below it already."""


@dataclass(frozen=True)
class Context:
    settings: Settings
    records: Records
    blobs: Blobs
    events: Events
    queue: Celery
    tenant: str = TENANT


def make_context(settings: Settings) -> Context:
    return Context(
        settings,
        Records(settings.redis_url),
        Blobs(settings.store_url),
        Events(settings.redis_url),
        make_queue(settings.redis_url, settings.job_timeout_s),
    )


def get_context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Ctx = Annotated[Context, Depends(get_context)]
