"""Endpoints of uploads whose bytes are sent directly to the object store; such an upload begins as a tus upload."""

from fastapi import APIRouter, Response
from starlette.concurrency import run_in_threadpool

from service.context import Ctx
from service.presigned.parts import count_parts, presigned_parts
from service.presigned.schemas import PartsOut
from service.problems import RESPONSES, problems
from service.resumable import sessions
from service.resumable.endpoints import SessionOfPath
from service.resumable.tus import state_headers

router = APIRouter(prefix="/v1/uploads", tags=["Resumable uploads"], responses=RESPONSES)


@router.get(
    "/{upload_id}/parts",
    responses=problems(404, 409),
    summary="List the parts of an upload",
    response_description="The parts.",
)
def list_upload_parts(session: SessionOfPath, response: Response, context: Ctx) -> PartsOut:
    """List the parts of an upload; each part that has not arrived has a presigned URL for a PUT.

    The URLs expire after 15 minutes. Request the list again for new ones.
    """
    response.headers["Cache-Control"] = "no-store"
    return PartsOut(items=presigned_parts(context, session))


@router.post(
    "/{upload_id}/complete",
    status_code=204,
    responses=problems(404, 409, 413, 415, 422),
    summary="Complete an upload",
    response_description="The model or dataset was created.",
)
async def complete_upload(session: SessionOfPath, response: Response, context: Ctx) -> None:
    """Create the model or dataset of an upload whose parts have all arrived; `Content-Location` is its URL."""
    if session.result is None:
        session = await run_in_threadpool(count_parts, context, session)
        session = await sessions.complete(context, session)
    response.headers.update(state_headers(session))
