"""Following a job: its events as they happen, and waiting for its end."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress

import redis
from fastapi.sse import ServerSentEvent
from starlette.concurrency import run_in_threadpool

from jobs.errors import NotFound, RateLimited
from jobs.events import Event
from jobs.job import Job
from service.context import Context

MAX_WAIT_S = 60
_WAIT = re.compile(r"\bwait=(\d{1,4})\b")


async def events_of(context: Context, job: Job, last_event_id: str) -> AsyncIterator[ServerSentEvent]:
    """Yield the job's events after `last_event_id`, up to and including its final state."""
    has_ended = False
    async with aclosing(context.events.follow(job.id, last_event_id)) as events:
        async for event in events:
            if event is None:
                if has_ended:  # and no event came since: the last ones were sent before, or have expired
                    return
                has_ended = await run_in_threadpool(_has_ended, context, job)
                continue
            yield ServerSentEvent(id=event.id, event=event.kind, raw_data=event.data)
            if _is_final(event):
                return


def preferred_wait(prefer: str | None) -> int | None:
    """Return the seconds of `wait=N` in a Prefer header (RFC 7240), at most 60; None if it asks for no wait."""
    match = _WAIT.search(prefer or "")
    return min(int(match.group(1)), MAX_WAIT_S) if match else None


async def wait_for_end(context: Context, job: Job, seconds: int) -> Job:
    """Return the job after its end, or as it is after `seconds`; at once if the caller follows too many jobs."""
    with suppress(TimeoutError, RateLimited, redis.RedisError), context.streams.place(context.caller):
        async with asyncio.timeout(seconds), aclosing(context.events.follow(job.id)) as events:
            async for event in events:
                if event is not None and _is_final(event):
                    break
    with suppress(redis.RedisError):
        return await run_in_threadpool(context.records.job, job.id, job.tenant, job.kind)
    return job  # it is accepted, whatever became of the wait


def _is_final(event: Event) -> bool:
    return event.kind == "state" and bool(json.loads(event.data)["final"])


def _has_ended(context: Context, job: Job) -> bool:
    try:
        return context.records.job(job.id, job.tenant).final
    except NotFound:  # deleted while it was followed
        return True
    except redis.RedisError:  # its events tell when the record store is back
        return False
