"""The answer to a request that submits, shows or cancels a job, and the headers of every answer that can wait."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from fastapi import Response
from starlette.concurrency import run_in_threadpool

from jobs.batch import Batch
from jobs.job import Job
from service.context import Context
from service.jobs.following import preferred_wait, wait_for_end
from service.jobs.schemas import JobIn, JobOut, job_out
from service.jobs.submission import submit_job
from service.problems import header_docs

RETRY_AFTER_S = "1"
RecordT = TypeVar("RecordT", Job, Batch)


def waiting_headers(kind: str, until: str = "has not ended") -> dict[str, Any]:
    """Return the documented headers of an answer that can wait.

    Args:
        kind: the kind of the record that is shown.
        until: the words for a record whose end can still be awaited.
    """
    return header_docs(
        Location=f"The URL of the {kind}.",
        Retry_After=f"The seconds to wait before the next request, if the {kind} {until}.",
        Preference_Applied="The `wait` that was applied.",
    )


SUBMITTED: dict[int | str, dict[str, Any]] = {202: {"headers": waiting_headers("job")}}
"""The documented answer of an endpoint that accepts a job."""


async def submit(
    context: Context,
    body: JobIn,
    response: Response,
    idempotency_key: str | None,
    prefer: str | None,
    cache_control: str | None,
) -> JobOut:
    """Submit a job and return it, after waiting for its end if the Prefer header asks for that."""
    rerun = "no-cache" in (cache_control or "")
    job = await run_in_threadpool(submit_job, context, body.model_dump(), idempotency_key, rerun)
    return await answer_after_wait(context, job, prefer, response)


async def answer_after_wait(context: Context, job: Job, prefer: str | None, response: Response) -> JobOut:
    """Return a job, after waiting for its end if the Prefer header asks for that."""
    return answer(await wait_as_preferred(job, prefer, response, partial(wait_for_end, context)), response)


def answer(job: Job, response: Response) -> JobOut:
    """Return a job as the API shows it, and set `Location` and `Retry-After`."""
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    invite_again(job, response)
    return job_out(job)


async def wait_as_preferred(
    record: RecordT, prefer: str | None, response: Response, wait: Callable[[RecordT, int], Awaitable[RecordT]]
) -> RecordT:
    """Return a record after the wait that the Prefer header asks for, and set `Preference-Applied`.

    Args:
        record: a job, plan or batch; one that has ended is returned as it is.
        prefer: the Prefer header.
        response: the response to set the header in.
        wait: waits for the end of a record for at most so many seconds and returns it as it is then.
    """
    seconds = preferred_wait(prefer)
    if seconds is None or record.final:
        return record
    response.headers["Preference-Applied"] = f"wait={seconds}"
    return await wait(record, seconds)


def invite_again(record: Job | Batch, response: Response) -> None:
    """Set `Retry-After` if the record has not ended."""
    if not record.final:
        response.headers["Retry-After"] = RETRY_AFTER_S
