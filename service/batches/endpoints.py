"""Endpoints that submit, list, show, cancel and delete batches."""

from functools import partial
from typing import Annotated, Any

import redis
from fastapi import APIRouter, Depends, Response
from starlette.concurrency import run_in_threadpool

from jobs.batch import Batch
from service.batches.schemas import BatchIn, BatchOut, BatchPage, batch_item, batch_out
from service.batches.submission import submit_batch
from service.context import Context, Ctx
from service.jobs.answer import invite_again, wait_as_preferred, waiting_headers
from service.jobs.following import wait_for_final_event
from service.parameters import BatchCursor, BatchId, CacheControl, IdempotencyKey, Limit, Prefer
from service.problems import RESPONSES, problems

router = APIRouter(prefix="/v1/batches", tags=["Batches"], responses=RESPONSES)
SUBMITTED: dict[int | str, dict[str, Any]] = {202: {"headers": waiting_headers("batch")}}
"""The documented answer of an endpoint that accepts a batch."""


def find_batch(batch_id: BatchId, context: Ctx) -> Batch:
    """Return the tenant's batch with this id.

    Raises:
        NotFound: the tenant has no such batch.
    """
    return context.records.batch(batch_id, context.tenant)


BatchOfPath = Annotated[Batch, Depends(find_batch)]


@router.post(
    "",
    status_code=202,
    responses=SUBMITTED | problems(404, 409, 413, 415, 422),
    summary="Submit a batch",
    response_description="The batch as it was accepted, or as it ended if that was awaited.",
)
async def create_batch(
    body: BatchIn,
    response: Response,
    context: Ctx,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
    cache_control: CacheControl = None,
) -> BatchOut:
    """Submit up to 256 jobs in one request: every model with every spec and preset, or a list of jobs.

    All jobs are accepted, or none: a problem lists the faults of all, with pointers into the request. The batch ends
    when its last job has ended.
    """
    rerun = "no-cache" in (cache_control or "")
    batch = await run_in_threadpool(submit_batch, context, body, idempotency_key, rerun)
    context.affected.extend(batch.jobs)
    return await _answer_after_wait(context, batch, prefer, response)


@router.get("", summary="List batches", response_description="One page of batches.")
def list_batches(context: Ctx, limit: Limit = 20, cursor: BatchCursor = None) -> BatchPage:
    """List batches, newest first, without their jobs."""
    batches, next_cursor = context.records.batches(context.tenant, limit, cursor)
    counts = context.records.batch_counts(batches)
    return BatchPage(items=[batch_item(*pair) for pair in zip(batches, counts, strict=True)], next_cursor=next_cursor)


@router.get("/{batch_id}", responses=problems(404), summary="Show a batch", response_description="The batch.")
async def get_batch(batch: BatchOfPath, response: Response, context: Ctx, prefer: Prefer = None) -> BatchOut:
    """Show a batch with its jobs. With `Prefer: wait=N` the answer waits for the end of the batch."""
    return await _answer_after_wait(context, batch, prefer, response)


@router.post(
    "/{batch_id}/cancel",
    status_code=202,
    responses=SUBMITTED | problems(404),
    summary="Cancel a batch",
    response_description="The batch after the request.",
)
def cancel_batch(batch: BatchOfPath, response: Response, context: Ctx) -> BatchOut:
    """Cancel the jobs of a batch that have not ended, each as `POST /v1/jobs/{id}/cancel` does."""
    context.affected.extend(context.records.cancel_batch(batch))
    return _answer(context, context.records.batch(batch.id, context.tenant), response)


@router.delete(
    "/{batch_id}",
    status_code=204,
    responses=problems(404, 409),
    summary="Delete a batch",
    response_description="The batch was deleted.",
)
def delete_batch(batch: BatchOfPath, context: Ctx) -> None:
    """Delete an ended batch, its jobs and their artifacts."""
    if batch.final:
        for job in context.records.jobs_of(batch):
            context.records.delete_job(job)
            context.archive.drop_job(job)
            context.affected.append(job.id)
    context.records.delete_batch(batch)
    context.archive.drop_batch(batch)


async def _answer_after_wait(context: Context, batch: Batch, prefer: str | None, response: Response) -> BatchOut:
    """Return a batch, after waiting for its end if the Prefer header asks for that."""
    batch = await wait_as_preferred(batch, prefer, response, partial(_wait_for_end, context))
    return await run_in_threadpool(_answer, context, batch, response)


async def _wait_for_end(context: Context, batch: Batch, seconds: int) -> Batch:
    """Return the batch after its end, or as it is after `seconds` or when the gateway stops."""
    await wait_for_final_event(context, batch.id, seconds)
    return await run_in_threadpool(_look, context, batch)


def _look(context: Context, batch: Batch) -> Batch:
    """Return the batch as it is now, or as it was if Redis is unavailable.

    Raises:
        NotFound: it was deleted.
    """
    try:
        return context.records.batch(batch.id, batch.tenant)
    except redis.RedisError:
        return batch


def _answer(context: Context, batch: Batch, response: Response) -> BatchOut:
    """Return a batch as the API shows it, and set `Location` and `Retry-After`."""
    response.headers["Location"] = f"/v1/batches/{batch.id}"
    invite_again(batch, response)
    return batch_out(batch, context.records.jobs_of(batch))
