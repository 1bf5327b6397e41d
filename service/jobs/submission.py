"""Submission of a job: validation, its record, and the message to the workers."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import redis
import structlog
from kombu.exceptions import OperationalError
from obstore.exceptions import BaseError as StoreError

from jobs.cache_key import work_digest
from jobs.errors import BadRequest, Conflict, NotFound
from jobs.job import Job, Status, Upload, new_id
from jobs.queue import send
from jobs.redis_keys import Kind
from jobs.remote.addresses import AddressRefused, check_url
from jobs.tracing import current_traceparent
from quant.errors import FieldError, QuantdError
from quant.outcome.baseline import Baseline
from quant.spec import Spec, require_data, resolve
from service.context import Context
from service.jobs.baselines import find_baseline, require_baseline
from service.jobs.cached_result import reuse_result
from service.quota import check_storage_quota
from service.sources.locations import usable_location
from service.uploads.inputs import INPUT_KINDS, input_upload

log = structlog.get_logger()


@dataclass(frozen=True)
class LookUps:
    """The look-ups of one submission. Each is made once, however many jobs repeat it, unless it fails.

    Attributes:
        upload: `input_upload` of a kind and an id.
        baseline: `find_baseline` of a name and the name of the model's file.
    """

    upload: Callable[[Kind, str], Upload]
    baseline: Callable[[str | None, str | None], Baseline | None]

    @classmethod
    def of(cls, context: Context) -> "LookUps":
        """Return the look-ups of a submission that begins."""
        return cls(cache(partial(input_upload, context)), cache(partial(find_baseline, context)))


def checked_spec(spec: Mapping[str, Any], roles: Container[str]) -> Spec:
    """Return the spec with its preset and defaults filled in.

    Raises:
        SpecError: it is not valid.
        DataRequired: it needs data whose role (calibration, evaluation) is not in `roles`.
    """
    resolved = resolve(spec)
    require_data(resolved, calibration="calibration" in roles, evaluation="evaluation" in roles)
    return resolved


def submit_job(context: Context, request: Mapping[str, Any], idempotency_key: str | None, rerun: bool) -> Job:
    """Check what can be checked without opening the model, store the record, and send the job's id to the queue.

    Args:
        context: The application and the caller.
        request: The fields of the request's body.
        idempotency_key: The caller's key for safe retries.
        rerun: Run the job even if the result of an equal job is stored.

    Raises:
        QuantdError: the spec is not valid, an input is missing, or a quota is used up; nothing is stored.
    """
    check_storage_quota(context)
    check_webhook(context, request["webhook"])
    job = new_job(context, request, LookUps.of(context))
    stored = store_job(context, job if rerun else reuse_result(context, job), idempotency_key, request)
    if stored.status == Status.QUEUED and stored.id == job.id:
        with contextlib.suppress(OperationalError):  # the record is stored: a worker will find the job without it
            send(context.queue, job.id)
    return stored


def store_job(context: Context, job: Job, idempotency_key: str | None, request: Mapping[str, Any]) -> Job:
    """Store the record of a new job or plan, or return the one that the same idempotency key created before.

    Raises:
        QuantdError: the key was used for another request, an input is missing, or a quota is used up.
    """
    job = job.model_copy(update={"idempotency": idempotency_of(idempotency_key, request)})
    try:
        stored = context.records.create_job(job, job.idempotency, context.caller.allowance.open_jobs)
    except QuantdError:
        context.archive.drop_artifacts(job)  # the copies of an earlier job's
        raise
    again = stored.id != job.id
    if again:
        context.archive.drop_artifacts(job)
        context.archive.catch_up(context.records)  # the request that created it may not have written its document
    else:
        _archive(context, job)
    log.info(f"{job.kind} submitted", job=stored.id, tenant=job.tenant, cached=stored.cached, again=again)
    return stored


def _archive(context: Context, job: Job) -> None:
    """Write the document of a job that was just created; if that fails, there is no such job."""
    try:
        context.archive.put_job(job)
    except StoreError:
        context.records.cancel(job)
        with contextlib.suppress(Conflict):  # a worker has it already: it ends as cancelled
            context.records.delete_job(job)
        raise
    with contextlib.suppress(redis.RedisError):  # it is written again
        context.records.mark_archived(job)


def new_job(context: Context, request: Mapping[str, Any], look_ups: LookUps) -> Job:
    """Return the record of a job that waits, after checking its spec and its inputs; nothing is stored.

    Raises:
        QuantdError: the spec is not valid, an input or the baseline is missing, or the destination is not allowed.
    """
    check_destination(context, request.get("destination"))
    inputs = _inputs(request, look_ups)
    spec = checked_spec(request["spec"], inputs)
    is_known = all(upload.sha256 for upload in inputs.values())  # else the digest of a fetched file is still missing
    baseline = look_ups.baseline(request["baseline"], inputs["model"].filename)
    if baseline is None:
        require_baseline(spec)
    data = inputs.get("calibration"), inputs.get("evaluation")
    work = work_digest(inputs["model"], *data, spec, baseline) if is_known else ""
    return Job(
        id=new_id("job"), tenant=context.tenant, status=Status.QUEUED, created_at=context.records.now(),
        api_key=context.caller.key_id, request_id=context.request_id, traceparent=current_traceparent(), work=work,
        model_name=inputs["model"].filename, **{**request, "baseline": baseline},
    )  # fmt: skip


def check_webhook(context: Context, webhook: Mapping[str, Any] | None) -> None:
    """Refuse a webhook now that would be refused when the job has ended.

    Raises:
        BadRequest: the service does not call this URL.
    """
    if webhook is None:
        return
    try:
        check_url(webhook["url"], context.settings.webhook_hosts)
    except AddressRefused as error:
        raise BadRequest(f"the webhook's URL {error}", [FieldError("/webhook/url", str(error))]) from None


def check_destination(context: Context, destination: Mapping[str, Any] | None) -> None:
    """Refuse a destination now that would be refused when the job has ended.

    Raises:
        BadRequest: it is no location, or needs credentials.
        RemoteNotAllowed: the operator does not allow it.
    """
    if destination is not None:
        usable_location(context, destination["url"], destination["credentials"], "destination")


def _inputs(request: Mapping[str, Any], look_ups: LookUps) -> dict[str, Upload]:
    """Return the uploads by role: model, calibration, evaluation.

    Raises:
        NotFound: the tenant has no upload with one of the ids.
        Conflict: the fetch of an upload has failed.
    """
    inputs = {}
    for role, kind in INPUT_KINDS.items():
        if (upload_id := request[role]) is not None:
            try:
                inputs[role] = look_ups.upload(kind, upload_id)
            except (NotFound, Conflict) as error:
                raise type(error)(error.detail, [FieldError(f"/{role}", error.detail)]) from None
    return inputs


def idempotency_of(key: str | None, request: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the idempotency key with a digest of the body that it belongs to."""
    return (key, hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()) if key else None
