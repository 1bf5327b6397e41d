"""The answer to a request that names the source of a model or dataset."""

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from jobs.errors import Conflict, NotFound
from jobs.job import Job, Upload
from jobs.redis_keys import Kind
from service.context import Context
from service.jobs.answer import invite_again
from service.sources.schemas import read_source
from service.sources.submission import submit_fetch
from service.uploads.storage import delete_upload


async def fetch_source(
    request: Request, response: Response, context: Context, kind: Kind, idempotency_key: str | None
) -> Upload | Job:
    """Accept a fetch and set the status (202, or 200 if the file is stored) and the headers of the response.

    Raises:
        QuantdError: the source is not allowed, or a quota is used up.
    """
    body = await read_source(request)
    record = await run_in_threadpool(submit_fetch, context, kind, body, idempotency_key)
    response.status_code = 200 if isinstance(record, Upload) else 202
    response.headers["Location"] = f"/v1/{kind}s/{record.id}"
    if isinstance(record, Job):
        invite_again(record, response)
    return record


def find_upload(context: Context, kind: Kind, upload_id: str, response: Response) -> Upload | Job:
    """Return an upload, or its fetch if that has not succeeded.

    Raises:
        NotFound: the tenant has no such upload.
    """
    try:
        return context.records.upload(kind, upload_id, context.tenant)
    except NotFound:
        record = _fetch(context, kind, upload_id)
    if isinstance(record, Job):
        invite_again(record, response)
    return record


def remove_upload(context: Context, kind: Kind, upload_id: str) -> None:
    """Delete an upload, or stop its fetch.

    Raises:
        NotFound: the tenant has no such upload.
        Conflict: a job uses it.
    """
    try:
        delete_upload(context, kind, upload_id)
        return
    except NotFound:
        fetch = context.records.fetch(kind, upload_id, context.tenant)
    if not fetch.final:
        if waiting := context.records.jobs_awaiting(upload_id):
            raise Conflict(f"{kind} {upload_id!r} is used by job {waiting[0].id!r}; wait for its end or cancel it")
        context.records.cancel(fetch)
        fetch = context.records.job(upload_id)
    if fetch.final:  # else a worker stops it, and the record expires
        context.records.delete_job(fetch)
        context.archive.drop_job(fetch)


def _fetch(context: Context, kind: Kind, upload_id: str) -> Upload | Job:
    """Return a fetch, or the upload if the fetch has ended since it was looked for."""
    try:
        return context.records.fetch(kind, upload_id, context.tenant)
    except NotFound:
        return context.records.upload(kind, upload_id, context.tenant)
