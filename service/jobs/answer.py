"""The answer to a request that submits, shows or cancels a job."""

from typing import Any

from fastapi import Response
from starlette.concurrency import run_in_threadpool

from jobs.job import Job
from service.context import Context
from service.jobs.following import preferred_wait, wait_for_end
from service.jobs.schemas import JobIn, JobOut, job_out
from service.jobs.submission import submit_job
from service.problems import header_docs

RETRY_AFTER_S = "1"
SUBMITTED: dict[int | str, dict[str, Any]] = {
    202: {
        "headers": header_docs(
            Location="The URL of the job.",
            Retry_After="The seconds to wait before the next request, if the job has not ended.",
            Preference_Applied="The `wait` that was applied.",
        )
    }
}
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
    seconds = preferred_wait(prefer)
    if seconds is not None and not job.final:
        response.headers["Preference-Applied"] = f"wait={seconds}"
        job = await wait_for_end(context, job, seconds)
    return answer(job, response)


def answer(job: Job, response: Response) -> JobOut:
    """Return a job as the API shows it, and set `Location` and `Retry-After`."""
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    if not job.final:
        response.headers["Retry-After"] = RETRY_AFTER_S
    return job_out(job)
