"""Resumable uploads by tus 1.0 (core, creation, expiration, termination).

Each PATCH is stored as a blob of its own, also if the caller hangs up in its midst. When the last byte is there the
parts are streamed into the model or dataset, which the last answer names by `Content-Location`.
"""

import base64
import binascii
import re
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from jobs.errors import BadRequest, Conflict, NotFound, TooLarge, UnsupportedVersion
from jobs.job import new_id
from jobs.redis_keys import Kind
from jobs.sessions import Part, Session
from quant.errors import QuantdError
from service.context import Context, Ctx
from service.problems import RESPONSES
from service.quota import check_room
from service.uploads import IdempotencyKey, clean_name, store_upload

VERSION = "1.0.0"
EXTENSIONS = "creation,expiration,termination"
TUS = {"Tus-Resumable": VERSION}
KINDS: dict[str, Kind] = {"model": "model", "dataset": "dataset"}
METADATA = "accepted: `kind` (model or dataset), `filename`? and `sha256`? (hexadecimal), each with its value in base64"
BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/offset+octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}

router = APIRouter(prefix="/v1/uploads", responses=RESPONSES)


def check_version(tus_resumable: Annotated[str | None, Header(description=VERSION)] = None) -> None:
    """Refuse another version of tus.

    Raises:
        UnsupportedVersion: it is not 1.0.0.
    """
    if tus_resumable != VERSION:
        raise UnsupportedVersion(f"Tus-Resumable is {tus_resumable!r}; accepted: {VERSION}")


def find_session(upload_id: str, context: Ctx) -> Session:
    return context.sessions.get(upload_id, context.tenant)


def folder(session: Session) -> str:
    """Where the object store has an upload's parts."""
    return f"{session.tenant}/uploads/{session.id}"


Tus = [Depends(check_version)]
Found = Annotated[Session, Depends(find_session)]
Length = Annotated[int, Header(alias="Upload-Length", ge=0, description="bytes of the whole file")]
Offset = Annotated[int, Header(alias="Upload-Offset", ge=0, description="where this part begins")]
Metadata = Annotated[str, Header(alias="Upload-Metadata", max_length=4096, description=METADATA)]


@router.options("", status_code=204)
def tus_options(response: Response, context: Ctx) -> None:
    """What of tus there is."""
    response.headers.update(
        {
            "Tus-Version": VERSION,
            "Tus-Extension": "creation,expiration,termination",
            "Tus-Max-Size": str(_most(context)),
        }
    )


@router.post("", status_code=201, dependencies=Tus)
def begin_upload(
    response: Response, context: Ctx, length: Length, metadata: Metadata, idempotency_key: IdempotencyKey = None
) -> None:
    """Begin an upload; send its bytes by PATCH to where `Location` says."""
    said = _metadata(metadata)
    kind = KINDS.get(said.get("kind", ""))
    if kind is None or set(said) - {"kind", "filename", "sha256"}:
        raise BadRequest(f"the upload's metadata has the keys {', '.join(sorted(said)) or 'none'}; {METADATA}")
    if not re.fullmatch(r"[0-9a-f]{64}|", said.get("sha256", "")):
        raise BadRequest(f"the upload's sha256 cannot be read; {METADATA}")
    limit = _limit(context, kind)
    if length > limit:
        raise TooLarge(f"the file has {length} bytes; accepted: up to {limit}")
    check_room(context)
    session = Session(
        id=new_id("upload"), tenant=context.tenant, kind=kind, length=length,
        filename=clean_name(said.get("filename")), sha256=said.get("sha256") or None,
    )  # fmt: skip
    begun = _begun(context, session, idempotency_key or "")
    if begun.result is not None and not _is_there(context, begun):
        context.sessions.drop(begun)  # what it became was deleted: the key is free again
        begun = _begun(context, session, idempotency_key or "")
    response.headers.update({**state_headers(begun), "Location": f"/v1/uploads/{begun.id}"})


@router.head("/{upload_id}", dependencies=Tus)
def upload_state(session: Found, response: Response) -> None:
    """How far the upload is."""
    response.headers.update(state_headers(session))


@router.patch("/{upload_id}", status_code=204, dependencies=Tus, openapi_extra=BODY)
async def append(session: Found, offset: Offset, request: Request, response: Response, context: Ctx) -> None:
    """Send bytes from `Upload-Offset` on; with the last one the upload becomes a model or dataset."""
    if request.headers.get("content-type") != "application/offset+octet-stream":
        raise BadRequest("the body's type is another; accepted: Content-Type: application/offset+octet-stream")
    if offset != session.offset:
        raise Conflict(f"the upload is at offset {session.offset}, not at {offset}; go on there")
    if session.result is None:
        session = await _append(context, session, request)
        if session.offset == session.length:
            session = await complete(context, session)
    response.headers.update(state_headers(session))


@router.delete("/{upload_id}", status_code=204, dependencies=Tus)
def end_upload(session: Found, response: Response, context: Ctx) -> None:
    """Give an upload up: nothing of it is kept."""
    _forget(context, session)
    response.headers.update(TUS)


def _begun(context: Context, session: Session, idempotency_key: str) -> Session:
    return context.sessions.get(context.sessions.begin(session, idempotency_key), context.tenant)


def _is_there(context: Context, session: Session) -> bool:
    try:
        context.records.upload(session.kind, session.result or "", session.tenant)
    except NotFound:
        return False
    return True


async def _append(context: Context, session: Session, request: Request) -> Session:
    """Store what comes, until the caller ends or hangs up, as the session's next part."""
    room = session.length - session.offset
    key = f"{folder(session)}/{session.offset:015d}-{secrets.token_hex(4)}"
    stored = await context.blobs.write(key, _until_hung_up(request), lambda head: None, room)
    part = Part(key=key, size=stored.size)
    if not part.size:
        await run_in_threadpool(context.blobs.delete, key)
        return session
    try:
        await run_in_threadpool(context.sessions.advance, session, part)
    except QuantdError:
        await run_in_threadpool(context.blobs.delete, key)
        raise
    return await run_in_threadpool(context.sessions.get, session.id, session.tenant)


async def _until_hung_up(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            if chunk:
                yield chunk
    except ClientDisconnect:
        return  # what came is kept


async def complete(context: Context, session: Session) -> Session:
    """Make the model or dataset; if it is refused the upload is over, too.

    Where this is cut off, a PATCH without bytes at the end's offset does it again.
    """
    parts = await run_in_threadpool(context.sessions.parts, session)
    try:
        upload, _ = await store_upload(context, session.kind, _joined(context, parts), session.filename, session.sha256)
    except QuantdError:
        await run_in_threadpool(_forget, context, session)
        raise
    await run_in_threadpool(context.sessions.finish, session, upload.id)
    await run_in_threadpool(_remove, context, session)
    return await run_in_threadpool(context.sessions.get, session.id, session.tenant)


async def _joined(context: Context, parts: list[Part]) -> AsyncIterator[bytes]:
    for part in parts:
        async for chunk in context.blobs.stream(part.key, 0, part.size):
            yield chunk


def _forget(context: Context, session: Session) -> None:
    context.sessions.drop(session)
    _remove(context, session)


def _remove(context: Context, session: Session) -> None:
    """Also what was sent to the store and never counted."""
    for key in context.blobs.keys(folder(session)):
        context.blobs.delete(key)


def state_headers(session: Session) -> dict[str, str]:
    expires = format_datetime(datetime.fromtimestamp(session.expires, UTC), usegmt=True)
    state = {**TUS, "Upload-Offset": str(session.offset), "Upload-Length": str(session.length)}
    state |= {"Upload-Expires": expires, "Cache-Control": "no-store"}
    return state | ({"Content-Location": f"/v1/{session.kind}s/{session.result}"} if session.result else {})


def _metadata(header: str) -> dict[str, str]:
    """`key base64,key base64`.

    Raises:
        BadRequest: it is not that.
    """
    try:
        pairs = [part.strip().partition(" ") for part in header.split(",")]
        return {key: base64.b64decode(value, validate=True).decode() for key, _, value in pairs}
    except (binascii.Error, UnicodeDecodeError):
        raise BadRequest(f"the upload's metadata cannot be read; {METADATA}") from None


def _limit(context: Context, kind: Kind) -> int:
    settings = context.settings
    return settings.max_model_bytes if kind == "model" else settings.max_dataset_bytes


def _most(context: Context) -> int:
    return max(_limit(context, kind) for kind in KINDS.values())
