"""The uploads that a job names: stored ones, and those that a worker is to fetch."""

from collections.abc import Mapping

from jobs.errors import Conflict, NotFound
from jobs.job import Upload
from jobs.redis_keys import Kind
from service.context import Context

INPUT_KINDS: Mapping[str, Kind] = {"model": "model", "calibration": "dataset", "evaluation": "dataset"}
"""The kind of upload for each input of a job, by its role."""


def input_upload(context: Context, kind: Kind, upload_id: str) -> Upload:
    """Return an upload that a job may name. One that is being fetched has the digest that was announced, or none.

    Raises:
        NotFound: the tenant has no such upload.
        Conflict: it was to be fetched, and that failed.
    """
    try:
        return context.records.upload(kind, upload_id, context.tenant)
    except NotFound:
        job = context.records.fetch(kind, upload_id, context.tenant)
    assert job.fetch is not None
    if job.error is not None:
        raise Conflict(f"the {kind} {upload_id!r} was not fetched: {job.error.detail}; accepted: another {kind}")
    return Upload(
        id=job.id, tenant=job.tenant, key="", sha256=job.fetch.sha256 or "", size=0, filename=job.fetch.filename,
        created_at=job.created_at, format="",
    )  # fmt: skip
