"""Endpoints that create, list, show and revoke share links."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response

from jobs.shares import Share
from service.context import Ctx
from service.jobs.path import JobOfPath
from service.parameters import IdempotencyKey
from service.problems import RESPONSES, header_docs, problems
from service.shares.links import create_share, list_shares
from service.shares.schemas import ShareIn, ShareOut, SharePage, share_out

CREATED: dict[int | str, dict[str, Any]] = {
    201: {"headers": header_docs(Location="The URL of the share.")},
    **problems(404, 409, 413, 415, 422),
}

router = APIRouter(prefix="/v1/jobs/{job_id}/shares", tags=["Share links"], responses=RESPONSES)


def find_share(
    share_id: Annotated[str, Path(description="The id of a share link.")], job: JobOfPath, context: Ctx
) -> Share:
    """Return the job's share with this id.

    Raises:
        NotFound: the job has no such valid share.
    """
    return context.shares.get(job, share_id)


ShareOfPath = Annotated[Share, Depends(find_share)]


@router.post(
    "",
    status_code=201,
    responses=CREATED,
    summary="Share a report",
    response_description="The share link.",
)
def create_share_link(
    job: JobOfPath, body: ShareIn, response: Response, context: Ctx, idempotency_key: IdempotencyKey = None
) -> ShareOut:
    """Create a link that shows the report of a job, and nothing else, to anybody who has it.

    The link ends after its days, when it is revoked, and when the job is deleted.
    """
    share = create_share(context, job, body.days, idempotency_key or "")
    response.headers["Location"] = f"/v1/jobs/{job.id}/shares/{share.id}"
    return share


@router.get("", responses=problems(404), summary="List share links", response_description="The valid share links.")
def list_share_links(job: JobOfPath, context: Ctx) -> SharePage:
    """List the valid share links of a job, newest first."""
    return SharePage(items=list_shares(context, job))


@router.get("/{share_id}", responses=problems(404), summary="Show a share link", response_description="The share link.")
def get_share_link(share: ShareOfPath, context: Ctx) -> ShareOut:
    """Show a valid share link."""
    return share_out(context, share)


@router.delete(
    "/{share_id}",
    status_code=204,
    responses=problems(404),
    summary="Revoke a share link",
    response_description="The link was revoked.",
)
def delete_share_link(share: ShareOfPath, context: Ctx) -> None:
    """Revoke a share link at once."""
    context.shares.revoke(share)
