"""Endpoints of uploads whose bytes go straight to the object store; an upload begins as by tus."""

from fastapi import APIRouter, Response
from starlette.concurrency import run_in_threadpool

from service.context import Ctx
from service.presigned.parts import count_parts, presigned_parts
from service.presigned.schemas import PartsOut
from service.problems import RESPONSES
from service.resumable import sessions
from service.resumable.endpoints import SessionOfPath
from service.resumable.tus import state_headers

router = APIRouter(prefix="/v1/uploads", tags=["Resumable uploads"], responses=RESPONSES)


@router.get("/{upload_id}/parts", summary="List presigned parts")
def upload_parts(session: SessionOfPath, response: Response, context: Ctx) -> PartsOut:
    """List the missing parts with URLs that take them by PUT; ask again after the URLs have expired."""
    response.headers["Cache-Control"] = "no-store"
    return PartsOut(items=presigned_parts(context, session))


@router.post("/{upload_id}/complete", status_code=204, summary="Complete an upload")
async def complete_upload(session: SessionOfPath, response: Response, context: Ctx) -> None:
    """Turn an upload whose parts have all arrived into a model or dataset, named by `Content-Location`."""
    if session.result is None:
        session = await run_in_threadpool(count_parts, context, session)
        session = await sessions.complete(context, session)
    response.headers.update(state_headers(session))
