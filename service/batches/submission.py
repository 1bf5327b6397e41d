"""Submission of a batch: all of its jobs are checked first, and created in one step or not at all."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import redis
import structlog
from kombu.exceptions import OperationalError
from obstore.exceptions import BaseError as StoreError

from jobs.batch import BATCH, Batch
from jobs.errors import Conflict
from jobs.job import Job, Status, new_id
from jobs.queue import send
from quant.errors import FieldError, QuantdError, SpecError
from service.batches.schemas import BatchIn
from service.context import Context
from service.jobs.cached_result import reuse_result
from service.jobs.schemas import JobIn
from service.jobs.submission import LookUps, check_webhook, idempotency_of, new_job
from service.quota import check_storage_quota

SHARED = ("calibration", "evaluation", "priority", "baseline")
"""The fields of a batch that a job of its list may set itself."""
THREADS = 8
"""The number of documents that are written at the same time."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Entry:
    """One job of a request, and the JSON pointers in the request to the fields that it is made of."""

    job: JobIn
    pointers: Mapping[str, str]

    def faults(self, error: QuantdError) -> Iterator[FieldError]:
        """Yield the faults of the job with pointers into the request."""
        for fault in error.errors or (FieldError("", error.detail),):
            if isinstance(error, SpecError):
                place = self.pointers["spec"]
                yield FieldError(place if place.startswith("/presets") else place + fault.pointer, fault.detail)
            else:
                field, *rest = fault.pointer.split("/")[1:] or [""]
                yield FieldError("/".join([self.pointers.get(field, ""), *rest]), fault.detail)


def entries_of(body: BatchIn) -> list[Entry]:
    """Return the jobs of a request, in the order of the batch."""
    common = {name: getattr(body, name) for name in SHARED}
    own = {name: f"/{name}" for name in SHARED}
    if body.jobs:
        return [_listed(job, f"/jobs/{index}", body, common) for index, job in enumerate(body.jobs)]
    specs = [(f"/specs/{index}", spec) for index, spec in enumerate(body.specs)]
    specs += [(f"/presets/{index}", {"preset": preset}) for index, preset in enumerate(body.presets)]
    return [
        Entry(
            JobIn(model=model, spec=spec, tags=body.tags, **common),
            {**own, "model": f"/models/{index}", "spec": place, "tags": "/tags"},
        )
        for index, model in enumerate(body.models)
        for place, spec in specs or [("/specs", {})]
    ]


def _listed(job: JobIn, place: str, body: BatchIn, common: Mapping[str, Any]) -> Entry:
    """Return a job of the request's list, completed with the fields of the batch."""
    inherited = {name: value for name, value in common.items() if name not in job.model_fields_set}
    update = {**inherited, "tags": {**body.tags, **job.tags}}
    pointers = {name: f"/{name}" if name in inherited else f"{place}/{name}" for name in JobIn.model_fields}
    return Entry(job.model_copy(update=update), pointers)


def submit_batch(context: Context, body: BatchIn, idempotency_key: str | None, rerun: bool) -> Batch:
    """Check all jobs, store the batch with them in one step, and send their ids to the queue.

    Args:
        context: The application and the caller.
        body: The request.
        idempotency_key: The caller's key for safe retries.
        rerun: Run jobs even if the results of equal jobs are stored.

    Raises:
        QuantdError: a spec is not valid, an input is missing, or a quota is used up; nothing is stored.
    """
    check_storage_quota(context)
    request = body.model_dump()
    check_webhook(context, request["webhook"])
    batch_id = new_id(BATCH)
    jobs = [job.model_copy(update={"batch": batch_id}) for job in _checked(context, entries_of(body))]
    jobs = jobs if rerun else [reuse_result(context, job) for job in jobs]
    batch = Batch.model_validate(
        {
            "id": batch_id, "tenant": context.tenant, "jobs": tuple(job.id for job in jobs), "tags": body.tags,
            "created_at": jobs[0].created_at, "api_key": context.caller.key_id, "request_id": context.request_id,
            "webhook": request["webhook"], "idempotency": idempotency_of(idempotency_key, {"batch": request}),
        }
    )  # fmt: skip
    stored = _store(context, batch, jobs)
    if stored.id == batch.id:
        with contextlib.suppress(OperationalError):  # a worker finds the jobs without the messages
            for job in jobs:
                if job.status == Status.QUEUED:
                    send(context.queue, job.id)
    log.info("batch submitted", batch=stored.id, tenant=batch.tenant, jobs=len(jobs), again=stored.id != batch.id)
    return stored


def _checked(context: Context, entries: Sequence[Entry]) -> list[Job]:
    """Return the jobs of a request.

    Raises:
        QuantdError: some are refused; it is of the kind of the first refusal, and lists the faults of all.
    """
    jobs: list[Job] = []
    refusals: list[QuantdError] = []
    faults: dict[FieldError, None] = {}
    look_ups = LookUps.of(context)
    for entry in entries:
        request = entry.job.model_dump()
        try:
            check_webhook(context, request["webhook"])
            jobs.append(new_job(context, request, look_ups))
        except QuantdError as error:
            refusals.append(error)
            faults |= dict.fromkeys(entry.faults(error))
    if refusals:
        detail = "; ".join(f"{fault.pointer or '/'} {fault.detail}" for fault in faults)
        raise type(refusals[0])(f"the batch is refused as a whole: {detail}", list(faults))
    return jobs


def _store(context: Context, batch: Batch, jobs: Sequence[Job]) -> Batch:
    """Store the records of a new batch and its jobs, or return the one that the same idempotency key created before.

    Raises:
        QuantdError: the key was used for another request, an input is missing, or a quota is used up.
    """
    try:
        stored = context.records.create_batch(batch, jobs, context.caller.allowance.open_jobs)
    except QuantdError:
        _drop_copies(context, jobs)
        raise
    if stored.id != batch.id:
        _drop_copies(context, jobs)
        context.archive.catch_up(context.records)  # the request that created it may not have written its documents
        return stored
    try:
        with ThreadPoolExecutor(THREADS, thread_name_prefix="archive") as threads:
            list(threads.map(context.archive.put_job, jobs))
        context.archive.put_batch(batch)
    except StoreError:
        _withdraw(context, batch, jobs)
        raise
    with contextlib.suppress(redis.RedisError):  # they are written again
        for job in jobs:
            context.records.mark_archived(job)
        context.records.mark_batch_archived(batch)
    return context.records.batch(batch.id)  # it has ended if all results were stored


def _drop_copies(context: Context, jobs: Sequence[Job]) -> None:
    """Remove the copies of earlier results, since there are no such jobs."""
    for job in jobs:
        if job.cached:
            context.archive.drop_artifacts(job)


def _withdraw(context: Context, batch: Batch, jobs: Sequence[Job]) -> None:
    """Remove a batch whose documents could not be written: there is no such batch."""
    context.records.cancel_batch(batch)
    for job in jobs:
        with contextlib.suppress(Conflict):  # a worker has it already: it ends as cancelled
            context.records.delete_job(job)
    context.records.delete_batch(batch, refused=True)
