"""The report behind a share link, and the forms that create and revoke links on a job's page."""

from typing import Annotated

from fastapi import Form, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BeforeValidator

from service.artifacts.download import DownloadConditions, send
from service.artifacts.report import report_page
from service.context import Ctx
from service.jobs.path import JobOfPath
from service.pages.frame import context_of, page_router
from service.rates import check_rate, count_request
from service.shares.endpoints import ShareOfPath
from service.shares.links import create_share, job_of_token
from service.shares.schemas import Days

RATE = 60
"""The number of times a minute that a link shows its report."""
PRIVATE = {"Cache-Control": "private, no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}

router = page_router()


@router.get("/share/{token}")
def show_shared_report(request: Request, token: str) -> Response:
    """Show the report of one job to anybody who has the link."""
    context = context_of(request)
    share, job = job_of_token(context, token)
    check_rate(count_request(context, share.id, RATE), RATE)
    response = send(report_page(context, job), DownloadConditions())
    response.headers.update(PRIVATE)
    return response


@router.post("/jobs/{job_id}/shares")
def share_report(job: JobOfPath, context: Ctx, days: Annotated[Days, BeforeValidator(int), Form()]) -> Response:
    """Create a share link and show it on the job's page."""
    create_share(context, job, days)
    return RedirectResponse(f"/jobs/{job.id}#shares", 303)


@router.post("/jobs/{job_id}/shares/{share_id}/revoke")
def revoke_share(share: ShareOfPath, context: Ctx) -> Response:
    """Revoke a share link and show the job's page again."""
    context.shares.revoke(share)
    return RedirectResponse(f"/jobs/{share.job}#shares", 303)
