"""Jobs: submitted, followed, cancelled, removed."""

import asyncio
import base64
import binascii
import json
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator
from starlette.concurrency import run_in_threadpool

from jobs.errors import NotFound
from jobs.job import Job, Status
from service.context import Context, Ctx
from service.documents import plain
from service.problems import RESPONSES, header_docs
from service.schemas import JobOut, view
from service.submission import submit_job
from service.uploads import Cursor, IdempotencyKey, Limit

router = APIRouter(prefix="/v1", responses=RESPONSES)

MAX_WAIT_S = 60
RETRY_AFTER_S = "1"
_WAIT = re.compile(r"\bwait=(\d{1,4})\b")

CacheControl = Annotated[
    str | None, Header(description="`no-cache`: do the work, even if it was done before and its result is there")
]
Prefer = Annotated[str | None, Header(description="`wait=N`: answer when the job has ended, at most N (60) seconds")]


def _secret(text: str) -> str:
    """A secret as Standard Webhooks write it.

    Raises:
        ValueError: it is none.
    """
    try:
        size = len(base64.b64decode(text.removeprefix("whsec_"), validate=True))
    except binascii.Error:
        size = 0
    if not text.startswith("whsec_") or not 24 <= size <= 64:
        raise ValueError("accepted: whsec_ and 24 to 64 bytes in base64")
    return text


SecretText = Annotated[str, AfterValidator(_secret)]
TagKey = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern="^[^:]*$")]
TagValue = Annotated[str, StringConstraints(max_length=256)]


class WebhookIn(BaseModel):
    """Where the job's end is told (Standard Webhooks); without a secret it is not signed."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, StringConstraints(max_length=2048)]
    secret: SecretText | None = None


class JobIn(BaseModel):
    """A job to do: ids of an uploaded model and of datasets, and the spec."""

    model_config = ConfigDict(extra="forbid")

    model: str
    calibration: str | None = None
    evaluation: str | None = None
    spec: dict[str, Any] = {}
    tags: dict[TagKey, TagValue] = Field(default={}, max_length=32)
    webhook: WebhookIn | None = None

    @field_validator("spec", "tags", mode="before")
    @classmethod
    def _plain(cls, document: Any) -> Any:
        return plain(document)


def find_job(job_id: str, context: Ctx) -> Job:
    return context.records.job(job_id, context.tenant)


FoundJob = Annotated[Job, Depends(find_job)]
"""The job that the path names; 404 before anything else happens."""


SUBMITTED: dict[int | str, dict[str, Any]] = {
    202: {
        "headers": header_docs(
            Location="the job", Retry_After="while it has not ended: seconds", Preference_Applied="how long was waited"
        )
    }
}


class JobPage(BaseModel):
    items: list[JobOut]
    next_cursor: str | None


@router.post("/jobs", status_code=202, responses=SUBMITTED)
async def post_job(
    body: JobIn,
    response: Response,
    context: Ctx,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
    cache_control: CacheControl = None,
) -> JobOut:
    """Submit a job; its record is stored before it is announced to the workers."""
    return await submit(context, body, response, idempotency_key, prefer, cache_control)


@router.get("/jobs")
def list_jobs(
    context: Ctx,
    limit: Limit = 20,
    cursor: Cursor = None,
    status: Status | None = None,
    tag: Annotated[str | None, Query(pattern="^[^:]+:.*$", description="key:value")] = None,
) -> JobPage:
    jobs, following = context.records.jobs(context.tenant, limit, cursor, status, tag)
    return JobPage(items=[view(job) for job in jobs], next_cursor=following)


@router.get("/jobs/{job_id}")
async def get_job(job: FoundJob, response: Response, context: Ctx, prefer: Prefer = None) -> JobOut:
    return _answer(await _waited(context, job, prefer, response), response)


@router.post("/jobs/{job_id}/cancel", status_code=202, responses=SUBMITTED)
def cancel_job(job: FoundJob, response: Response, context: Ctx) -> JobOut:
    """A queued job never starts, a running one stops within 5 s; an ended one stays as it is."""
    context.records.cancel(job)
    return _answer(context.records.job(job.id, context.tenant), response)


@router.delete("/jobs/{job_id}", status_code=204)
def delete_job(job: FoundJob, context: Ctx) -> None:
    """Remove the record of an ended job and its artifacts."""
    context.records.delete_job(job)
    context.archive.drop_job(job)


@router.get("/jobs/{job_id}/events", response_class=EventSourceResponse)
async def job_events(
    job: FoundJob, context: Ctx, last_event_id: Annotated[str, Header(pattern=r"^\d{1,19}(-\d{1,19})?$")] = "0"
) -> AsyncIterator[ServerSentEvent]:
    """`progress`, `log` and `state` events from the start, or from behind `Last-Event-ID`, until the final state."""
    async for event in context.events.follow(job.id, last_event_id):
        if event is None:
            if await run_in_threadpool(_over, context, job):  # its events were seen before, or have expired
                return
            continue
        yield ServerSentEvent(id=event.id, event=event.kind, raw_data=event.data)
        if event.kind == "state" and json.loads(event.data)["final"]:
            return


def _over(context: Context, job: Job) -> bool:
    try:
        return context.records.job(job.id, job.tenant).final
    except NotFound:  # deleted while it was followed
        return True


async def submit(
    context: Context,
    body: JobIn,
    response: Response,
    idempotency_key: str | None,
    prefer: str | None,
    cache_control: str | None,
) -> JobOut:
    """Submit the job and answer with it, after its end where the caller prefers to wait."""
    fresh = "no-cache" in (cache_control or "")
    job = await run_in_threadpool(submit_job, context, body.model_dump(), idempotency_key, fresh)
    return _answer(await _waited(context, job, prefer, response), response)


async def _waited(context: Context, job: Job, prefer: str | None, response: Response) -> Job:
    """The job after its end, or as it is when the caller's patience is over."""
    wanted = _WAIT.search(prefer or "")
    if wanted is None or job.final:
        return job
    seconds = min(int(wanted.group(1)), MAX_WAIT_S)
    response.headers["Preference-Applied"] = f"wait={seconds}"
    try:
        async with asyncio.timeout(seconds):
            async for event in context.events.follow(job.id):
                if event is not None and event.kind == "state" and json.loads(event.data)["final"]:
                    break
    except TimeoutError:
        pass  # the state as it is now is the answer
    return await run_in_threadpool(context.records.job, job.id, job.tenant)


def _answer(job: Job, response: Response) -> JobOut:
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    if not job.final:
        response.headers["Retry-After"] = RETRY_AFTER_S
    return view(job)
