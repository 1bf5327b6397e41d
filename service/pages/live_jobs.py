"""The live progress of the jobs that a page lists, as one stream of server-sent events.

A browser opens at most six connections to a host over HTTP/1.1, so a page with a stream for each job would block
itself. The stream sends states, not changes, and begins with the state of every job: a browser that reconnects misses
nothing.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Collection
from dataclasses import asdict

from fastapi.sse import ServerSentEvent
from starlette.concurrency import run_in_threadpool

from service.context import Context
from service.pages.job_row import JobState, job_state

POLL_S = 1.0
LIFETIME_S = 300.0
"""The stream ends after this time, or when the gateway stops. The browser then opens it again, for which its session
must still be valid."""


async def live_jobs(context: Context, ids: Collection[str]) -> AsyncIterator[ServerSentEvent]:
    """Yield the state of each job and every change of it as `job`, then `end` when all jobs have ended."""
    sent: dict[str, JobState] = {}
    until = time.monotonic() + LIFETIME_S
    while time.monotonic() < until and not context.events.ended:
        jobs = await run_in_threadpool(context.records.jobs_named, context.tenant, ids)
        for job in jobs:
            state = job_state(job)
            if sent.get(job.id) != state:
                sent[job.id] = state
                yield ServerSentEvent(event="job", raw_data=json.dumps({"id": job.id, **asdict(state)}))
        if all(job.final for job in jobs):
            yield ServerSentEvent(event="end", raw_data="{}")
            return
        await asyncio.sleep(POLL_S)
