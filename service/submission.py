"""From a valid body to a stored job: its inputs looked up, its result used again where the work was done before."""

import contextlib
import hashlib
import json
from collections.abc import Container, Mapping
from typing import Any

import structlog
from kombu.exceptions import OperationalError

from jobs.archive import folder
from jobs.cache_key import work_digest
from jobs.errors import BadRequest, NotFound
from jobs.job import Artifact, Job, Status, Upload, new_id, now
from jobs.queue import send
from jobs.tracing import current_traceparent
from quant.errors import FieldError
from quant.spec import Spec, require_data, resolve
from service.context import Context
from service.quota import check_room
from service.webhooks import Refused, check_url

log = structlog.get_logger()

COPIED = ("gates", "verdict", "summary", "timings")
"""What a job that uses a result takes over, beside copies of its artifacts."""


def checked_spec(spec: Mapping[str, Any], given: Container[str]) -> Spec:
    """The spec as resolved.

    Raises:
        SpecError: it is not valid.
        DataRequired: it needs data whose role is not `given`.
    """
    resolved = resolve(spec)
    require_data(resolved, calibration="calibration" in given, evaluation="evaluation" in given)
    return resolved


def submit_job(context: Context, asked: Mapping[str, Any], idempotency_key: str | None, fresh: bool) -> Job:
    """Check everything that can be checked without opening the model, store the record, announce it.

    `asked` is the request's body; `fresh` asks for the work to be done, even if it was done before.

    Raises:
        QuantdError: the spec is not valid, an input is not there, or a quota is used up; nothing is stored.
    """
    check_room(context)
    _check_webhook(context, asked["webhook"])
    inputs = _inputs(context, asked)
    spec = checked_spec(asked["spec"], inputs)
    work = work_digest(inputs["model"], inputs.get("calibration"), inputs.get("evaluation"), spec)
    caller = context.caller
    job = Job(
        id=new_id("job"), tenant=caller.tenant, status=Status.QUEUED, created_at=now(), api_key=caller.key_id,
        request_id=context.request_id, traceparent=current_traceparent(), work=work, **asked,
    )  # fmt: skip
    job = job if fresh else _from_result(context, job)
    context.archive.put_job(job)
    stored = None
    try:
        stored = context.records.create_job(job, _idempotency(idempotency_key, asked), caller.allowance.open_jobs)
    finally:
        if stored is None or stored.id != job.id:
            context.archive.drop_job(job)
    log.info("job submitted", job=stored.id, tenant=job.tenant, cached=stored.cached, again=stored.id != job.id)
    if stored.status == Status.QUEUED and stored.id == job.id:
        with contextlib.suppress(OperationalError):  # the job is recorded: a worker finds it standing still
            send(context.queue, job.id)
    return stored


def _check_webhook(context: Context, webhook: Mapping[str, Any] | None) -> None:
    """Refuse at once what would be refused when the job has ended.

    Raises:
        BadRequest: the service does not call this URL.
    """
    if webhook is None:
        return
    try:
        check_url(webhook["url"], context.settings.webhook_hosts)
    except Refused as error:
        raise BadRequest(f"the webhook's URL {error}", [FieldError("/webhook/url", str(error))]) from None


def _inputs(context: Context, asked: Mapping[str, Any]) -> dict[str, Upload]:
    """The uploads by their roles.

    Raises:
        NotFound: the tenant has none of this id.
    """
    inputs = {"model": context.records.upload("model", asked["model"], context.tenant)}
    for role in ("calibration", "evaluation"):
        if asked[role] is not None:
            inputs[role] = context.records.upload("dataset", asked[role], context.tenant)
    return inputs


def _idempotency(key: str | None, asked: Mapping[str, Any]) -> tuple[str, str] | None:
    return (key, hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()) if key else None


def _from_result(context: Context, job: Job) -> Job:
    """The job as succeeded, with copies of the artifacts, where the tenant has had this work done; else as it is.

    Copies, so that each job's artifacts live and go with it: they cost a link on a local folder, and no transfer on S3.
    """
    done = context.records.result(job.tenant, job.work)
    if done is None:
        return job
    try:
        artifacts = tuple(_copied(context, job, artifact) for artifact in done.artifacts)
    except NotFound:  # that job is being deleted
        context.archive.drop_job(job)
        return job
    taken = {name: getattr(done, name) for name in COPIED}
    ended = {"status": Status.SUCCEEDED, "cached": True, "finished_at": job.created_at, "progress": done.progress}
    return job.model_copy(update={**taken, **ended, "artifacts": artifacts})


def _copied(context: Context, job: Job, artifact: Artifact) -> Artifact:
    key = f"{folder(job)}/{artifact.sha256}/{artifact.name}"
    context.blobs.copy(artifact.key, key)
    return artifact.model_copy(update={"key": key})
