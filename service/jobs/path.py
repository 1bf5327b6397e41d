"""The job that a request's path names."""

from typing import Annotated

from fastapi import Depends

from jobs.job import Job
from service.context import Ctx
from service.parameters import JobId


def find_job(job_id: JobId, context: Ctx) -> Job:
    """Return the tenant's job with this id.

    Raises:
        NotFound: the tenant has no such job.
    """
    return context.records.job(job_id, context.tenant)


JobOfPath = Annotated[Job, Depends(find_job)]
"""An endpoint's parameter for the job that its path names; the answer is 404 if there is none."""
