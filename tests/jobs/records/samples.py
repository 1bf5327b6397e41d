"""Jobs and uploads for the tests of records."""

from jobs.job import Job, Status, Upload, new_id, now


def add(records, kind="model", sha256="a" * 64, tenant="default", limit=None, **fields):
    upload_id = new_id(kind)
    upload = Upload(
        id=upload_id, tenant=tenant, key=f"{tenant}/{kind}s/{upload_id}", sha256=sha256, filename=None,
        created_at=now(), format="onnx", **{"size": 1, **fields},
    )  # fmt: skip
    return records.add_upload(kind, upload, limit)


def queued(records, idempotency=None, tenant="default", open_jobs=None, **fields):
    fields = {"model": add(records, tenant=tenant)[0].id, **fields}
    job = Job(id=new_id("job"), tenant=tenant, status=Status.QUEUED, spec={}, created_at=now(), **fields)
    return records.create_job(job, idempotency, open_jobs)


def in_state(records, status, **fields):
    """A job that got into this state on the legal way."""
    job = queued(records, **fields)
    if status == Status.CANCELLED:
        records.cancel(job)
    elif status != Status.QUEUED:
        records.claim(job.id, "owner")
        if status != Status.RUNNING:
            records.finish(job.id, "owner", status, {})
    assert records.job(job.id).status == status
    return records.job(job.id)
