"""Submission of a fetch: a record like that of a job, whose id is that of the upload to come."""

from jobs.job import Fetch, Job, Status, Upload, new_id
from jobs.redis_keys import Kind
from jobs.tracing import current_traceparent
from service.context import Context
from service.jobs.submission import store_job
from service.quota import check_storage_quota
from service.sources.locations import usable_location
from service.sources.schemas import SourceIn
from service.uploads.body import clean_name


def submit_fetch(context: Context, kind: Kind, body: SourceIn, idempotency_key: str | None) -> Job | Upload:
    """Store the record of a fetch; that also queues it. An upload with the announced digest is returned instead.

    Raises:
        QuantdError: the source is not allowed, or a quota is used up; nothing is stored.
    """
    check_storage_quota(context)
    location = usable_location(context, body.source, body.credentials, "source")
    sha256 = body.sha256.lower() if body.sha256 else None
    if sha256 and (stored := context.records.upload_with_digest(kind, sha256, context.tenant)):
        return stored
    upload_id = new_id(kind)
    fetch = Fetch(
        kind=kind, source=body.source, filename=clean_name(body.filename or location.filename), sha256=sha256,
        credentials=body.credentials, stored_limit=context.caller.allowance.stored,
    )  # fmt: skip
    job = Job(
        id=upload_id, kind="fetch", tenant=context.tenant, status=Status.QUEUED, model=upload_id, spec={}, fetch=fetch,
        created_at=context.records.now(), api_key=context.caller.key_id, request_id=context.request_id,
        traceparent=current_traceparent(),
    )  # fmt: skip
    return store_job(context, job, idempotency_key, {kind: body.model_dump()})
