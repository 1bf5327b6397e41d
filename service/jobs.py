"""Jobs: submitted, followed, cancelled, removed."""

import asyncio
import contextlib
import hashlib
import json
import re
from collections.abc import AsyncIterator, Container
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from kombu.exceptions import OperationalError
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator
from starlette.concurrency import run_in_threadpool

from jobs.job import Gate, Job, Problem, Progress, Stage, Status, Summary, new_id, now
from jobs.queue import send
from quant.spec import require_data, resolve
from service.context import Context, Ctx
from service.documents import plain
from service.problems import RESPONSES
from service.uploads import Cursor, Limit

router = APIRouter(prefix="/v1", responses=RESPONSES)

MAX_WAIT_S = 60
RETRY_AFTER_S = "1"
_WAIT = re.compile(r"\bwait=(\d{1,4})\b")

IdempotencyKey = Annotated[str | None, Header(max_length=255, description="the same key: the same job, once")]
Prefer = Annotated[str | None, Header(description="`wait=N`: answer when the job has ended, at most N (60) seconds")]


TagKey = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern="^[^:]*$")]
TagValue = Annotated[str, StringConstraints(max_length=256)]


class JobIn(BaseModel):
    """A job to do: ids of an uploaded model and of datasets, and the spec."""

    model_config = ConfigDict(extra="forbid")

    model: str
    calibration: str | None = None
    evaluation: str | None = None
    spec: dict[str, Any] = {}
    tags: dict[TagKey, TagValue] = Field(default={}, max_length=32)

    @field_validator("spec", "tags", mode="before")
    @classmethod
    def _plain(cls, document: Any) -> Any:
        return plain(document)


class JobOut(BaseModel):
    """A job; `links` says where its parts are."""

    id: str
    status: Status
    stage: Stage | None
    progress: Progress | None
    model: str
    calibration: str | None
    evaluation: str | None
    spec: dict[str, Any]
    tags: dict[str, str]
    created_at: str
    started_at: str | None
    finished_at: str | None
    attempt: int
    cached: bool
    verdict: str | None
    gates: list[Gate]
    error: Problem | None
    summary: Summary | None
    links: dict[str, str]


def find_job(job_id: str, context: Ctx) -> Job:
    return context.records.job(job_id, context.tenant)


FoundJob = Annotated[Job, Depends(find_job)]
"""The job that the path names; 404 before anything else happens."""


class JobPage(BaseModel):
    items: list[JobOut]
    next_cursor: str | None


@router.post("/jobs", status_code=202)
async def submit_job(
    body: JobIn, response: Response, context: Ctx, idempotency_key: IdempotencyKey = None, prefer: Prefer = None
) -> JobOut:
    """Submit a job; its record is stored before it is announced to the workers."""
    return await submit(context, body, response, idempotency_key, prefer)


@router.get("/jobs")
def list_jobs(
    context: Ctx,
    limit: Limit = 20,
    cursor: Cursor = None,
    status: Status | None = None,
    tag: Annotated[str | None, Query(pattern="^[^:]+:.*$", description="key:value")] = None,
) -> JobPage:
    jobs, following = context.records.jobs(context.tenant, limit, cursor, status, tag)
    return JobPage(items=[_view(job) for job in jobs], next_cursor=following)


@router.get("/jobs/{job_id}")
async def get_job(job: FoundJob, response: Response, context: Ctx, prefer: Prefer = None) -> JobOut:
    return _view(await _waited(context, job, prefer, response), response)


@router.post("/jobs/{job_id}/cancel", status_code=202)
def cancel_job(job: FoundJob, response: Response, context: Ctx) -> JobOut:
    """A queued job never starts, a running one stops within 5 s; an ended one stays as it is."""
    context.records.cancel(job)
    return _view(context.records.job(job.id, context.tenant), response)


@router.delete("/jobs/{job_id}", status_code=204)
def delete_job(job: FoundJob, context: Ctx) -> None:
    """Remove the record of an ended job and its artifacts."""
    context.records.delete_job(job)
    for key in context.blobs.keys(f"{job.tenant}/jobs/{job.id}"):
        context.blobs.delete(key)


@router.get("/jobs/{job_id}/events", response_class=EventSourceResponse)
async def job_events(
    job: FoundJob, context: Ctx, last_event_id: Annotated[str, Header(pattern=r"^\d{1,19}(-\d{1,19})?$")] = "0"
) -> AsyncIterator[ServerSentEvent]:
    """`progress` and `state` events from the start, or from behind `Last-Event-ID`, until the final state."""
    async for event in context.events.follow(job.id, last_event_id):
        if event is None:
            current = await run_in_threadpool(context.records.job, job.id, job.tenant)
            if current.final:  # its events were seen before, or have expired
                return
            continue
        yield ServerSentEvent(id=event.id, event=event.kind, raw_data=event.data)
        if event.kind == "state" and json.loads(event.data)["final"]:
            return


async def submit(
    context: Context, body: JobIn, response: Response, idempotency_key: str | None, prefer: str | None
) -> JobOut:
    """Submit the job and answer with it, after its end where the caller prefers to wait."""
    job = await run_in_threadpool(_submit, context, body, idempotency_key)
    return _view(await _waited(context, job, prefer, response), response)


def check_spec(spec: dict[str, Any], given: Container[str]) -> None:
    """Refuse a spec that is not valid, or that needs data whose role is not `given`."""
    require_data(resolve(spec), calibration="calibration" in given, evaluation="evaluation" in given)


def _submit(context: Context, body: JobIn, idempotency_key: str | None) -> Job:
    """Check everything that can be checked without opening the model, store the record, announce it."""
    records, tenant = context.records, context.tenant
    datasets = {role: getattr(body, role) for role in ("calibration", "evaluation") if getattr(body, role) is not None}
    check_spec(body.spec, datasets)
    records.upload("model", body.model, tenant)
    for dataset in datasets.values():
        records.upload("dataset", dataset, tenant)
    fingerprint = hashlib.sha256(json.dumps(body.model_dump(), sort_keys=True).encode()).hexdigest()
    caller = context.caller
    job = Job(
        id=new_id("job"), tenant=tenant, status=Status.QUEUED, created_at=now(), api_key=caller.key_id,
        **body.model_dump(),
    )  # fmt: skip
    idempotency = (idempotency_key, fingerprint) if idempotency_key else None
    stored = records.create_job(job, idempotency, caller.allowance.open_jobs)
    if stored.id == job.id:
        with contextlib.suppress(OperationalError):  # the job is recorded: a worker finds it standing still
            send(context.queue, job.id)
    return stored


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


def _view(job: Job, response: Response | None = None) -> JobOut:
    here = f"/v1/jobs/{job.id}"
    if response is not None:
        response.headers["Location"] = here
        if not job.final:
            response.headers["Retry-After"] = RETRY_AFTER_S
    links = {"self": here, "events": f"{here}/events", "cancel": f"{here}/cancel"}
    if job.artifacts:
        links |= {"report": f"{here}/report", "report_html": f"{here}/report.html", "artifacts": f"{here}/artifacts"}
    return JobOut.model_validate({**job.model_dump(), "links": links})
