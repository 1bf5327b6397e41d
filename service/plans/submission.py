"""Submission of a plan: a record like that of a job, which the workers run in a slot of its own."""

from typing import Any

from jobs.cache_key import plan_digest
from jobs.job import Job, Status, new_id
from jobs.tracing import current_traceparent
from quant.spec import resolve
from service.context import Context
from service.jobs.cached_result import reuse_result
from service.jobs.submission import store_job
from service.quota import check_storage_quota
from service.uploads.inputs import input_upload


def submit_plan(context: Context, model: str, spec: dict[str, Any], idempotency_key: str | None) -> Job:
    """Check the spec, and store the record; that also queues the plan, or finds the result of an equal one.

    Args:
        context: The application and the caller.
        model: The id of the model.
        spec: The spec as the caller wrote it. The data that it needs are not asked for.
        idempotency_key: The caller's key for safe retries.

    Raises:
        QuantdError: the spec is not valid, the model is missing, or a quota is used up; nothing is stored.
    """
    check_storage_quota(context)
    upload = input_upload(context, "model", model)
    resolved = resolve(spec)
    plan = Job(
        id=new_id("plan"), kind="plan", tenant=context.tenant, status=Status.QUEUED, model=model, spec=spec,
        created_at=context.records.now(), api_key=context.caller.key_id, request_id=context.request_id,
        traceparent=current_traceparent(), work=plan_digest(upload, resolved) if upload.sha256 else "",
    )  # fmt: skip
    request = {"plan": {"model": model, "spec": spec}}
    return store_job(context, reuse_result(context, plan), idempotency_key, request)
