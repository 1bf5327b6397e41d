"""Endpoints that make and show plans."""

from functools import partial
from typing import Any

from fastapi import APIRouter, Response
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from jobs.errors import WorkerCrashed
from jobs.job import Job, Status
from quant.outcome.plan import PLAN_FILE, Plan
from service.artifacts.report import find_artifact
from service.context import Context, Ctx
from service.jobs.answer import invite_again, wait_as_preferred, waiting_headers
from service.jobs.following import wait_for_end
from service.parameters import IdempotencyKey, PlanId, Prefer
from service.plans.schemas import PlanIn, PlanOut, plan_out, plan_url
from service.plans.submission import submit_plan
from service.problems import RESPONSES, problems

router = APIRouter(prefix="/v1", tags=["Plans"], responses=RESPONSES)
_HEADERS = waiting_headers("plan", "is not ready")
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The plan, ready or failed.", "model": PlanOut, "headers": _HEADERS},
    202: {"description": "The plan as it was accepted.", "headers": _HEADERS},
}
"""The documented answers of the endpoint that makes a plan."""


@router.post("/plans", status_code=202, responses=ANSWERS | problems(404, 409, 413, 415, 422), summary="Plan a job")
async def create_plan(
    body: PlanIn,
    response: Response,
    context: Ctx,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> PlanOut:
    """Find out what a job would do, without data and in seconds.

    The plan has the layers with their kernels, what stays in float and why, the expected size and error by the spec and
    by each preset, and the spec to edit. With `Prefer: wait=N` the answer waits for it. The status is 200 if the plan
    is ready, and 202 if it is not.
    """
    plan = await run_in_threadpool(submit_plan, context, body.model, body.spec, idempotency_key)
    plan = await _wait(context, plan, prefer, response)
    response.headers["Location"] = plan_url(plan)
    response.status_code = 200 if plan.final else 202
    return await run_in_threadpool(show_plan, context, plan)


@router.get("/plans/{plan_id}", responses=problems(404), summary="Show a plan", response_description="The plan.")
async def get_plan(plan_id: PlanId, response: Response, context: Ctx, prefer: Prefer = None) -> PlanOut:
    """Show a plan. With `Prefer: wait=N` the answer waits until it is ready."""
    plan = await run_in_threadpool(context.records.job, plan_id, context.tenant, "plan")
    plan = await _wait(context, plan, prefer, response)
    return await run_in_threadpool(show_plan, context, plan)


async def _wait(context: Context, plan: Job, prefer: str | None, response: Response) -> Job:
    """Return the plan after its end if the Prefer header asks for that, else as it is; set the headers for waiting."""
    plan = await wait_as_preferred(plan, prefer, response, partial(wait_for_end, context))
    invite_again(plan, response)
    return plan


def show_plan(context: Context, plan: Job) -> PlanOut:
    """Return the plan with its result, which an untrusted process wrote.

    Raises:
        WorkerCrashed: the stored result is no plan.
    """
    if plan.status != Status.SUCCEEDED:
        return plan_out(plan, None)
    try:
        result = Plan.model_validate_json(context.blobs.read(find_artifact(plan, PLAN_FILE).key))
    except ValidationError:
        raise WorkerCrashed(f"the stored result of {plan.id!r} is no plan; ask for it again") from None
    return plan_out(plan, result)
