"""The endpoint that cancels many jobs: all that have not ended, or those that meet conditions."""

from collections import Counter
from collections.abc import Iterator

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from jobs.job import Job, Status
from jobs.records import JobFilter
from service.context import Context, Ctx
from service.jobs.endpoints import Tag
from service.problems import RESPONSES, problems

PAGE = 200
"""The jobs that are read at a time."""

router = APIRouter(prefix="/v1", tags=["Jobs"], responses=RESPONSES)


class CancelIn(BaseModel):
    """The conditions on the jobs to cancel; without any, all jobs that have not ended are cancelled."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    status: Status | None = None
    """Only jobs with this status: `queued` or `running`; an ended job does not change."""
    tags: list[Tag] = Field(default=[], max_length=32)
    """Only jobs with all of these tags, each `key:value`."""
    model: str | None = None
    """Only jobs for the model with this id."""


class CancelOut(BaseModel):
    """The numbers of jobs that a request cancelled."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    cancelled: int
    """The jobs that were cancelled and never start."""
    stopping: int
    """The running jobs that were asked to stop; each ends within 5 s."""


@router.post(
    "/jobs/cancel", responses=problems(413, 415), summary="Cancel many jobs", response_description="The counts."
)
def cancel_jobs(body: CancelIn, context: Ctx) -> CancelOut:
    """Cancel all jobs that have not ended, or those that meet all conditions; batches end with their jobs."""
    ends: Counter[str] = Counter()
    for job in _open_jobs(context, body):
        ends[context.records.cancel(job)] += 1
        context.affected.append(job.id)
    return CancelOut(cancelled=ends["cancelled"], stopping=ends["stopping"])


def _open_jobs(context: Context, body: CancelIn) -> Iterator[Job]:
    """Yield the jobs that have not ended and meet the conditions; queued ones first, so that none of them starts."""
    for status in (Status.QUEUED, Status.RUNNING):
        if body.status not in (None, status):
            continue
        cursor: str | None = None
        while True:
            conditions = JobFilter(status=status, tags=tuple(body.tags), model=body.model)
            jobs, cursor = context.records.jobs(context.tenant, PAGE, cursor, conditions)
            yield from jobs
            if cursor is None:
                break
