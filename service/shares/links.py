"""The share links of a job, for the API and the pages alike."""

from jobs.job import Job
from jobs.shares import Share
from quant.outcome.artifacts import REPORT_PAGE
from service.artifacts.report import find_artifact
from service.context import Context
from service.shares.schemas import Days, ShareOut, share_out


def create_share(context: Context, job: Job, days: Days, idempotency_key: str = "") -> ShareOut:
    """Share the report of a job.

    Raises:
        Conflict: the job has no report, because it has not succeeded.
        IdempotencyMismatch: the key was used for another request.
        TooManyShares: the job has too many valid links.
    """
    find_artifact(job, REPORT_PAGE.name)
    return share_out(context, context.shares.create(job, days, idempotency_key))


def list_shares(context: Context, job: Job) -> list[ShareOut]:
    """Return the valid share links of a job, newest first."""
    return [share_out(context, share) for share in context.shares.list(job)]


def job_of_token(context: Context, token: str) -> tuple[Share, Job]:
    """Return the share with this token, and its job.

    Raises:
        NotFound: the link is not valid, or its job was deleted.
    """
    share = context.shares.find(token)
    return share, context.records.job(share.job, share.tenant)
