"""The endpoint that compares two jobs."""

from typing import Annotated

from fastapi import APIRouter, Path

from quant.outcome.comparison import Comparison
from service.comparison.reports import compare_jobs
from service.context import Ctx
from service.jobs.path import JobOfPath
from service.problems import RESPONSES, problems

OtherId = Annotated[str, Path(description="The id of the job that is compared with it.")]

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["Artifacts and reports"], responses=RESPONSES)


@router.get(
    "/compare/{other_id}",
    responses=problems(404, 409),
    summary="Compare two jobs",
    response_description="The comparison.",
)
def get_comparison(job: JobOfPath, other_id: OtherId, context: Ctx) -> Comparison:
    """Compare a job, the baseline `a`, with another job, `b`: summary, gates, layers and resolved specs.

    Both jobs must have succeeded. A difference is the figure of `b` less that of `a`. Figures that were measured on
    other data have none.
    """
    return compare_jobs(context, job, context.records.job(other_id, context.tenant))
