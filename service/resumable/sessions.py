"""Upload sessions: begin one, append parts, complete it into a model or dataset, discard it.

Each PATCH is stored as a blob of its own, even if the caller disconnects before its end. After the last byte the parts
are streamed into the final upload.
"""

import secrets
from collections.abc import AsyncIterator

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from jobs.errors import NotFound, TooLarge
from jobs.job import new_id
from jobs.sessions import Part, Session
from jobs.uploads.contents import size_limit
from quant.errors import QuantdError
from service.context import Context
from service.quota import check_storage_quota
from service.resumable.tus import UploadMetadata
from service.uploads.storage import store_upload


def begin(context: Context, length: int, metadata: UploadMetadata, idempotency_key: str) -> Session:
    """Begin an upload of `length` bytes, or return the one that the same idempotency key began.

    Raises:
        TooLarge: the file is larger than a model or dataset may be.
        StorageFull, TooManyUploads: a quota of the caller is used up.
    """
    limit = size_limit(context.settings, metadata.kind)
    if length > limit:
        raise TooLarge(f"the file has {length} bytes; accepted: up to {limit}")
    check_storage_quota(context)
    session = Session(
        id=new_id("upload"), tenant=context.tenant, kind=metadata.kind, length=length,
        filename=metadata.filename, sha256=metadata.sha256,
    )  # fmt: skip
    begun = _begin_or_find(context, session, idempotency_key)
    if begun.result is not None and not _result_exists(context, begun):
        context.sessions.drop(begun)  # its model or dataset was deleted: the key may begin a new upload
        begun = _begin_or_find(context, session, idempotency_key)
    return begun


async def append(context: Context, session: Session, request: Request) -> Session:
    """Store the request's body, up to its end or a disconnect, as the session's next part."""
    remaining = session.length - session.offset
    key = f"{parts_folder(session)}/{session.offset:015d}-{secrets.token_hex(4)}"
    stored = await context.blobs.write(key, _until_disconnect(request), lambda head: None, remaining)
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


async def complete(context: Context, session: Session) -> Session:
    """Join the parts into a model or dataset; discard the upload if its bytes are refused.

    If this is interrupted, an empty PATCH at the end of the upload runs it again.
    """
    parts = await run_in_threadpool(context.sessions.parts, session)
    try:
        upload, _ = await store_upload(context, session.kind, _join(context, parts), session.filename, session.sha256)
    except QuantdError:
        await run_in_threadpool(discard, context, session)
        raise
    await run_in_threadpool(context.sessions.finish, session, upload.id)
    await run_in_threadpool(_delete_parts, context, session)
    return await run_in_threadpool(context.sessions.get, session.id, session.tenant)


def discard(context: Context, session: Session) -> None:
    """Delete an upload and all of its parts."""
    context.sessions.drop(session)
    _delete_parts(context, session)


def parts_folder(session: Session) -> str:
    """Return the object store's folder for the parts of an upload."""
    return f"{session.tenant}/uploads/{session.id}"


def _begin_or_find(context: Context, session: Session, idempotency_key: str) -> Session:
    return context.sessions.get(context.sessions.begin(session, idempotency_key), context.tenant)


def _result_exists(context: Context, session: Session) -> bool:
    try:
        context.records.upload(session.kind, session.result or "", session.tenant)
    except NotFound:
        return False
    return True


async def _until_disconnect(request: Request) -> AsyncIterator[bytes]:
    """Yield the body's chunks; a disconnect ends it, so that what has arrived is stored."""
    try:
        async for chunk in request.stream():
            if chunk:
                yield chunk
    except ClientDisconnect:
        return


async def _join(context: Context, parts: list[Part]) -> AsyncIterator[bytes]:
    for part in parts:
        async for chunk in context.blobs.stream(part.key, 0, part.size):
            yield chunk


def _delete_parts(context: Context, session: Session) -> None:
    """Delete every blob of an upload, including parts that were sent to the store and never counted."""
    for key in context.blobs.keys(parts_folder(session)):
        context.blobs.delete(key)
