"""Storage of uploaded models and datasets: bytes in the object store, a record in Redis."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool

from jobs.blobs import Stored
from jobs.job import Upload, new_id
from jobs.records.store import seconds
from jobs.redis_keys import Kind
from jobs.uploads.contents import describe, head_check, size_limit
from service.context import Context
from service.quota import check_storage_quota


@dataclass(frozen=True)
class WrittenFile:
    """A file in the object store that is not recorded as an upload yet; `description` has what its bytes say."""

    kind: Kind
    id: str
    key: str
    filename: str | None
    stored: Stored
    description: Mapping[str, Any]


async def store_upload(
    context: Context,
    kind: Kind,
    chunks: AsyncIterator[bytes],
    filename: str | None,
    sha256: str | None = None,
    idempotency_key: str | None = None,
) -> tuple[Upload, bool]:
    """Stream bytes to the object store and record them.

    Returns:
        The upload, and False if the tenant had already stored the same bytes.

    Raises:
        QuantdError: the upload is too large, differs from `sha256`, or has an unknown format; nothing is stored.
    """
    written = await write_file(context, kind, chunks, filename, sha256)
    return await run_in_threadpool(record_file, context, written, idempotency_key)


async def write_file(
    context: Context, kind: Kind, chunks: AsyncIterator[bytes], filename: str | None, sha256: str | None = None
) -> WrittenFile:
    """Stream bytes to the object store. A file that is neither recorded nor discarded is deleted after a day.

    Raises:
        QuantdError: the file is too large, differs from `sha256`, or cannot be used; nothing is stored.
    """
    await run_in_threadpool(check_storage_quota, context)
    upload_id = new_id(kind)
    key = f"{context.tenant}/{kind}s/{upload_id}"
    limit = size_limit(context.settings, kind)
    stored = await context.blobs.write(key, chunks, head_check(kind), limit, sha256)
    try:
        description = await run_in_threadpool(describe, context.blobs, kind, key, stored, limit)
    except BaseException:
        await run_in_threadpool(context.blobs.delete, key)
        raise
    return WrittenFile(kind, upload_id, key, filename, stored, description)


def record_file(context: Context, written: WrittenFile, idempotency_key: str | None = None) -> tuple[Upload, bool]:
    """Record a written file as an upload; delete it if it is already stored under another id.

    Returns:
        The upload, and False if the tenant had already stored the same bytes.

    Raises:
        QuantdError: a quota is used up; nothing is stored.
    """
    stored = written.stored
    upload = Upload(
        id=written.id, tenant=context.tenant, key=written.key, sha256=stored.sha256, size=stored.size,
        filename=written.filename, created_at=context.records.now(), api_key=context.caller.key_id,
        **written.description,
    )  # fmt: skip
    context.archive.put_upload(upload)
    recorded = None
    try:
        recorded, created = context.records.add_upload(
            written.kind, upload, context.caller.allowance.stored, idempotency_key or ""
        )
    finally:
        if recorded is None or recorded.id != upload.id:
            context.archive.drop_upload(upload)
    return recorded, created


def discard_file(context: Context, written: WrittenFile) -> None:
    """Delete a written file that is not recorded."""
    context.blobs.delete(written.key)


def delete_upload(context: Context, kind: Kind, upload_id: str) -> None:
    """Delete a model or dataset: its record and its bytes.

    Raises:
        NotFound: the tenant has no such upload.
        Conflict: a job uses it.
    """
    upload = context.records.upload(kind, upload_id, context.tenant)
    context.records.delete_upload(kind, upload)
    context.archive.drop_upload(upload)


def withdraw_upload(context: Context, kind: Kind, upload: Upload) -> None:
    """Delete an upload that a refused request has just recorded.

    Raises:
        Conflict: another request has stored or used the same bytes since.
    """
    context.records.delete_upload(kind, upload, unused_since=seconds(upload.created_at))
    context.archive.drop_upload(upload)
