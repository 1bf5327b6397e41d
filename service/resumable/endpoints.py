"""Endpoints of resumable uploads by tus 1.0."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response

from jobs.errors import Conflict, UnsupportedMediaType
from jobs.sessions import Session
from jobs.uploads.contents import size_limit
from service.context import Ctx
from service.parameters import IdempotencyKey, UploadId
from service.problems import RESPONSES, header_docs, problems
from service.resumable import sessions
from service.resumable.tus import (
    ACCEPTED_METADATA,
    EXTENSIONS,
    KINDS,
    OFFSET_MEDIA_TYPE,
    TUS_HEADERS,
    VERSION,
    check_version,
    parse_metadata,
    state_headers,
)

BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {OFFSET_MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}

router = APIRouter(prefix="/v1/uploads", tags=["Resumable uploads"], responses=RESPONSES)


def find_session(upload_id: UploadId, context: Ctx) -> Session:
    """Return the upload session that the path names.

    Raises:
        NotFound: the tenant has no such upload in progress.
    """
    return context.sessions.get(upload_id, context.tenant)


SessionOfPath = Annotated[Session, Depends(find_session)]
Length = Annotated[int, Header(alias="Upload-Length", ge=0, description="The size of the whole file in bytes.")]
Offset = Annotated[int, Header(alias="Upload-Offset", ge=0, description="The offset at which this part begins.")]
Metadata = Annotated[
    str, Header(alias="Upload-Metadata", max_length=4096, description=f"Description of the file; {ACCEPTED_METADATA}.")
]
TUS = [Depends(check_version)]


@router.options(
    "", status_code=204, summary="Describe tus support", response_description="The support is described in headers."
)
def describe_uploads(response: Response, context: Ctx) -> None:
    """Return the version, the extensions and the largest upload that are supported."""
    largest = max(size_limit(context.settings, kind) for kind in KINDS.values())
    response.headers.update({"Tus-Version": VERSION, "Tus-Extension": EXTENSIONS, "Tus-Max-Size": str(largest)})


@router.post(
    "",
    status_code=201,
    response_class=Response,
    responses={
        201: {"headers": header_docs(Location="The URL of the upload.")},
        **problems(404, 409, 412, 413, 415, 422),
    },
    dependencies=TUS,
    summary="Begin an upload",
    response_description="The upload was begun.",
)
def create_upload(
    response: Response, context: Ctx, length: Length, metadata: Metadata, idempotency_key: IdempotencyKey = None
) -> None:
    """Begin an upload. Its bytes are then sent by PATCH to the URL in `Location`."""
    session = sessions.begin(context, length, parse_metadata(metadata), idempotency_key or "")
    response.headers.update({**state_headers(session), "Location": f"/v1/uploads/{session.id}"})


@router.head(
    "/{upload_id}",
    response_class=Response,
    responses=problems(404, 412),
    dependencies=TUS,
    summary="Show an upload's offset",
    response_description="The state of the upload is described in headers.",
)
def get_upload_offset(session: SessionOfPath, response: Response) -> None:
    """Return the upload's offset, length and expiry as headers."""
    response.headers.update(state_headers(session))


@router.patch(
    "/{upload_id}",
    status_code=204,
    responses=problems(404, 409, 412, 413, 415, 422),
    dependencies=TUS,
    openapi_extra=BODY,
    summary="Append bytes",
    response_description="The bytes were appended.",
)
async def append_to_upload(
    session: SessionOfPath, offset: Offset, request: Request, response: Response, context: Ctx
) -> None:
    """Append bytes at `Upload-Offset`. The last byte turns the upload into a model or dataset."""
    _check_append(request, session, offset)
    if session.result is None:
        session = await sessions.append(context, session, request)
        if session.offset == session.length:
            session = await sessions.complete(context, session)
    response.headers.update(state_headers(session))


@router.delete(
    "/{upload_id}",
    status_code=204,
    responses=problems(404, 412),
    dependencies=TUS,
    summary="Discard an upload",
    response_description="The upload was discarded.",
)
def delete_upload(session: SessionOfPath, response: Response, context: Ctx) -> None:
    """Discard an upload in progress and delete its bytes."""
    sessions.discard(context, session)
    response.headers.update(TUS_HEADERS)


def _check_append(request: Request, session: Session, offset: int) -> None:
    """Check the media type and the offset of a PATCH.

    Raises:
        UnsupportedMediaType: the media type is not that of tus.
        Conflict: the part does not follow the last one.
    """
    media_type = request.headers.get("content-type")
    if media_type != OFFSET_MEDIA_TYPE:
        raise UnsupportedMediaType(f"the body's type is {media_type!r}; accepted: Content-Type: {OFFSET_MEDIA_TYPE}")
    if offset != session.offset:
        raise Conflict(f"the part begins at offset {offset}; accepted: the upload's offset {session.offset}")
