"""The endpoint that uploads a model and submits its job in one call."""

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from service.context import Ctx
from service.jobs.answer import SUBMITTED, submit
from service.jobs.schemas import JobOut
from service.jobs.submission import check_destination, check_webhook, checked_spec
from service.parameters import CacheControl, IdempotencyKey, Prefer
from service.problems import RESPONSES, problems
from service.quantize.form import BODY, received_form

router = APIRouter(prefix="/v1", tags=["Jobs"], responses=RESPONSES)


@router.post(
    "/quantize",
    status_code=202,
    responses=SUBMITTED | problems(404, 409, 413, 415, 422),
    openapi_extra=BODY,
    summary="Upload and submit in one call",
    response_description="The job as it was accepted, or as it ended if that was awaited.",
)
async def quantize(
    request: Request,
    response: Response,
    context: Ctx,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
    cache_control: CacheControl = None,
) -> JobOut:
    """Upload a model with its data and submit the job, for scripts.

    The files are stored while they arrive. If the form or its job is refused, those that were not stored before are
    deleted.
    """
    async with received_form(request, context) as form:
        job = await run_in_threadpool(form.job)
        checked_spec(job.spec, form.files)
        fields = job.model_dump()
        check_webhook(context, fields["webhook"])
        check_destination(context, fields["destination"])
        ids = await run_in_threadpool(form.record, context)
        context.affected.extend(ids.values())
        return await submit(context, job.model_copy(update=ids), response, idempotency_key, prefer, cache_control)
