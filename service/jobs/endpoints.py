"""Endpoints that submit, list, show, follow, cancel and delete jobs."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import AwareDatetime, Field, StringConstraints

from jobs.job import Status
from jobs.records import JobFilter
from service.context import Ctx, take_place
from service.jobs.answer import SUBMITTED, answer, answer_after_wait, submit
from service.jobs.following import events_of
from service.jobs.path import JobOfPath
from service.jobs.schemas import JobIn, JobOut, JobPage, job_out
from service.parameters import CacheControl, IdempotencyKey, JobCursor, Limit, Prefer
from service.problems import RESPONSES, problems

Tag = Annotated[str, StringConstraints(pattern="^[^:]+:.*$")]
"""A tag of a job, `key:value`."""
Time = Annotated[AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(9999, 1, 1, tzinfo=UTC))]
"""A time in the years that have a form in UTC, whatever its own zone is."""

router = APIRouter(prefix="/v1", tags=["Jobs"], responses=RESPONSES)


@router.post(
    "/jobs",
    status_code=202,
    responses=SUBMITTED | problems(404, 409, 413, 415, 422),
    summary="Submit a job",
    response_description="The job as it was accepted, or as it ended if that was awaited.",
)
async def create_job(
    body: JobIn,
    response: Response,
    context: Ctx,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
    cache_control: CacheControl = None,
) -> JobOut:
    """Submit a job for an uploaded model.

    If a job with the same model, data, spec and version of quantd succeeded before, the new job succeeds at once with
    `cached: true`.
    """
    return await submit(context, body, response, idempotency_key, prefer, cache_control)


@router.get("/jobs", summary="List jobs", response_description="One page of jobs.")
def list_jobs(
    context: Ctx,
    limit: Limit = 20,
    cursor: JobCursor = None,
    status: Annotated[Status | None, Query(description="Only jobs with this status.")] = None,
    tag: Annotated[
        tuple[Tag, ...], Query(max_length=32, description="Only jobs with this tag, `key:value`; several: all of them.")
    ] = (),
    verdict: Annotated[
        Literal["pass", "fail"] | None, Query(description="Only jobs whose gates have this result.")
    ] = None,
    model: Annotated[str | None, Query(description="Only jobs for the model with this id.")] = None,
    name: Annotated[
        str | None, Query(max_length=255, description="Only jobs whose model's file name contains this text.")
    ] = None,
    created_after: Annotated[
        Time | None, Query(description="Only jobs that were submitted at this time or later (RFC 3339).")
    ] = None,
    created_before: Annotated[
        Time | None, Query(description="Only jobs that were submitted before this time (RFC 3339).")
    ] = None,
) -> JobPage:
    """List jobs, newest first. A page may hold fewer than `limit` jobs and have a `next_cursor` all the same."""
    after = None if created_after is None else created_after.timestamp()
    before = None if created_before is None else created_before.timestamp()
    conditions = JobFilter(status, tag, verdict, model, name, after, before)
    jobs, next_cursor = context.records.jobs(context.tenant, limit, cursor, conditions)
    return JobPage(items=[job_out(job) for job in jobs], next_cursor=next_cursor)


@router.get("/jobs/{job_id}", responses=problems(404), summary="Show a job", response_description="The job.")
async def get_job(job: JobOfPath, response: Response, context: Ctx, prefer: Prefer = None) -> JobOut:
    """Show a job. With `Prefer: wait=N` the answer waits for the end of the job."""
    return await answer_after_wait(context, job, prefer, response)


@router.post(
    "/jobs/{job_id}/cancel",
    status_code=202,
    responses=SUBMITTED | problems(404),
    summary="Cancel a job",
    response_description="The job after the request.",
)
def cancel_job(job: JobOfPath, response: Response, context: Ctx) -> JobOut:
    """Cancel a job: a queued job never starts, a running job stops within 5 s, an ended job does not change."""
    context.records.cancel(job)
    return answer(context.records.job(job.id, context.tenant), response)


@router.delete(
    "/jobs/{job_id}",
    status_code=204,
    responses=problems(404, 409),
    summary="Delete a job",
    response_description="The job was deleted.",
)
def delete_job(job: JobOfPath, context: Ctx) -> None:
    """Delete an ended job and its artifacts."""
    context.records.delete_job(job)
    context.archive.drop_job(job)


@router.get(
    "/jobs/{job_id}/events",
    response_class=EventSourceResponse,
    responses=problems(404),
    dependencies=[Depends(take_place)],
    summary="Follow a job's events",
    response_description="The events as they occur.",
)
async def follow_job(
    job: JobOfPath,
    context: Ctx,
    last_event_id: Annotated[
        str, Header(pattern=r"^\d{1,19}(-\d{1,19})?$", description="Resume after the event with this id.")
    ] = "0",
) -> AsyncIterator[ServerSentEvent]:
    """Stream the job's `progress`, `log` and `state` events until its final state."""
    async for event in events_of(context, job, last_event_id):
        yield event
