"""Following a job: its events as they happen, and waiting for its end."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress

import redis
from fastapi.sse import ServerSentEvent
from starlette.concurrency import run_in_threadpool

from jobs.errors import NotFound, RateLimited, Unavailable
from jobs.events import Event
from jobs.job import Job
from jobs.records.store import seconds
from service.context import Context

MAX_WAIT_S = 60
_WAIT = re.compile(r"\bwait=(\d{1,4})\b")


async def events_of(context: Context, job: Job, last_event_id: str) -> AsyncIterator[ServerSentEvent]:
    """Yield the job's events after `last_event_id`, up to and including its final state.

    The events of an ended job expire after a day and are lost with Redis: its record then gives the final state. A
    gateway that stops ends the stream with the present state, which has no id unless it is final: a caller that goes on
    elsewhere with the last id misses nothing.
    """
    seen: Job | None = job
    async with aclosing(context.events.follow(job.id, last_event_id)) as events:
        async for event in events:
            if event is not None:
                last_event_id = event.id
                yield ServerSentEvent(id=event.id, event=event.kind, raw_data=event.data)
                if _is_final(event):
                    return
            elif seen is None:  # deleted while it was followed
                return
            elif seen.final:  # and no event came since
                final = _final_state(seen)
                if _milliseconds(final.id) > _milliseconds(last_event_id):
                    yield ServerSentEvent(id=final.id, event=final.kind, raw_data=final.data)
                return
            else:
                seen = await run_in_threadpool(_look, context, seen)
    present = await run_in_threadpool(_look, context, seen) if seen is not None else None
    if present is not None:
        final_id = _final_state(present).id if present.final else None
        yield ServerSentEvent(id=final_id, event="state", raw_data=_state(present))


def preferred_wait(prefer: str | None) -> int | None:
    """Return the seconds of `wait=N` in a Prefer header (RFC 7240), at most 60; None if it asks for no wait."""
    match = _WAIT.search(prefer or "")
    return min(int(match.group(1)), MAX_WAIT_S) if match else None


async def wait_for_end(context: Context, job: Job, seconds: int) -> Job:
    """Return the job after its end, or as it is after `seconds` or when the gateway stops.

    If the caller follows too many jobs already, the answer is immediate.
    """
    await wait_for_final_event(context, job.id, seconds)
    seen = await run_in_threadpool(_look, context, job)  # it is accepted, whatever became of the wait
    if seen is None:
        raise NotFound(f"{job.kind} {job.id!r} was deleted while its end was awaited")
    return seen


async def wait_for_final_event(context: Context, record_id: str, seconds: int) -> None:
    """Wait for the end of a job or a batch, for at most `seconds`, and not after the gateway stops.

    It returns at once if the caller follows too many jobs already.
    """
    with suppress(TimeoutError, RateLimited, redis.RedisError), context.streams.place(context.caller):
        async with asyncio.timeout(seconds), aclosing(context.events.follow(record_id)) as events:
            async for event in events:
                if event is not None and _is_final(event):
                    break


def _is_final(event: Event) -> bool:
    return event.kind == "state" and bool(json.loads(event.data)["final"])


def _final_state(job: Job) -> Event:
    """Return the event of an ended job's final state."""
    milliseconds = int(1000 * seconds(job.finished_at or job.created_at))
    return Event(f"{milliseconds}-0", "state", _state(job))


def _state(job: Job) -> str:
    """Return the data of an event on the job's state."""
    return json.dumps({"status": job.status, "final": job.final})


def _milliseconds(event_id: str) -> int:
    return int(event_id.split("-")[0])


def _look(context: Context, job: Job) -> Job | None:
    """Return the job as it is now, or as it was while its record cannot be looked up; None if it was deleted."""
    try:
        return context.records.job(job.id, job.tenant, job.kind)
    except NotFound:
        return job if _is_incomplete(context) else None
    except redis.RedisError:  # its events tell when the record store is back
        return job


def _is_incomplete(context: Context) -> bool:
    """Return True if records may be missing that exist."""
    try:
        context.epochs.check()
    except (Unavailable, redis.RedisError):
        return True
    return False
