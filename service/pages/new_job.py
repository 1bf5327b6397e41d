"""The page for a new job: choose or upload the files, choose a preset or write the spec, check it, and start the job.

Everything is one form. Its buttons send the same fields with another `action`: `submit` starts the job, `plan` shows
what it would do, `check` shows the page again with the faults in it. The page's script sends `check` while the spec is
typed.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from jobs.errors import Forbidden, NotFound
from jobs.http_status import problem_of
from jobs.job import Job, Problem, Upload
from jobs.redis_keys import Kind
from quant.errors import QuantdError
from quant.spec import PRESET_DESCRIPTIONS, PROFILES
from service.context import Context, Ctx
from service.jobs.schemas import JobIn
from service.jobs.submission import submit_job
from service.pages.formats import age, size
from service.pages.frame import page_router, render
from service.pages.job_view import webhook_host
from service.pages.new_job_form import FORM_GATES, GATE_PREFIX, Checked, Typed, as_yaml, check_form
from service.pages.plan_view import PlanAnswer, plan_answer
from service.pages.spec_reference import spec_keys
from service.plans.endpoints import create_plan
from service.plans.schemas import PlanIn
from service.uploads.inputs import INPUT_KINDS

router = page_router()

OFFERED = 100
"""The page offers this many of the newest models and datasets."""
PLAN_WAIT_S = 20
"""The page waits this long for a plan. The script then asks again."""
TITLES = {
    "model": "Model",
    "calibration": "Calibration data",
    "evaluation": "Evaluation data",
    "preset": "Preset",
    "profile": "Target",
    "tags": "Tags",
}
"""The titles of the fields; a gate's is its name."""


@dataclass(frozen=True)
class Choice:
    """A stored file that the form offers: its id and a description."""

    id: str
    label: str


@router.get("/new")
def show_form(request: Request, context: Ctx, source: Annotated[str | None, Query(alias="from")] = None) -> Response:
    """Show an empty form, or with `?from=` the one that describes a job again.

    Raises:
        Forbidden: the caller may only read.
        NotFound: the tenant has no such job.
    """
    if not context.caller.may_write:
        raise Forbidden("this key may only read; to start jobs, sign in with a key that has the scope write")
    job = context.records.job(source, context.tenant) if source else None
    return _page(request, context, Typed.of_job(job) if job else Typed(), webhook=webhook_host(job) if job else "")


@router.post("/new")
async def send_form(request: Request, context: Ctx) -> Response:
    """Start the job that the form describes, or show the form again with its faults."""
    form = dict(await request.form())
    typed = Typed.of_form(form)
    checked = await run_in_threadpool(check_form, typed)
    action, once = form.get("action"), str(form.get("once", ""))
    if action == "plan":
        return await run_in_threadpool(
            _page, request, context, typed, checked, answer=await _plan(context, checked, typed, once), once=once
        )
    problem = None
    if action == "submit" and checked.body is not None:
        try:
            job = await run_in_threadpool(_start, context, checked.body, typed.rerun, once)
        except QuantdError as error:
            problem = problem_of(error)
        else:
            return RedirectResponse(f"/jobs/{job.id}", 303)
    return await run_in_threadpool(_page, request, context, typed, checked, action == "submit", problem, once=once)


def _start(context: Context, body: JobIn, rerun: bool, once: str) -> Job:
    """Submit the job once, however often the same page sends the same form."""
    return submit_job(context, body.model_dump(), _key(once, f"{rerun} {body.model_dump_json()}"), rerun)


async def _plan(context: Context, checked: Checked, typed: Typed, once: str) -> PlanAnswer | None:
    """Return the plan of the job, after waiting for it; None if the form has no model or no valid spec.

    The form sent again asks for the same plan, so that a browser can wait longer for it.
    """
    if checked.resolved is None or not typed.model:
        return None
    body = PlanIn(model=typed.model, spec=checked.spec)
    try:
        key = _key(once, f"plan {body.model_dump_json()}")
        return plan_answer(await create_plan(body, Response(), context, key, f"wait={PLAN_WAIT_S}"))
    except QuantdError as error:
        return PlanAnswer(problem=problem_of(error))


def _key(once: str, document: str) -> str | None:
    """Return an idempotency key for what a page sends; None if the form lacks the page's random text."""
    return f"page:{once[:64]}:{hashlib.sha256(document.encode()).hexdigest()}" if once else None


def _page(
    request: Request,
    context: Context,
    typed: Typed,
    checked: Checked | None = None,
    refused: bool = False,
    problem: Problem | None = None,
    answer: PlanAnswer | None = None,
    once: str = "",
    webhook: str = "",
) -> Response:
    """Return the page with the fields as they were typed.

    Args:
        request: the request.
        context: the application and the caller.
        typed: the fields.
        checked: the faults in them; None for a form that nobody has sent yet.
        refused: True if the job was to be started and was not.
        problem: the reason, if it is not a fault in a field.
        answer: the answer to a request for a plan; None if there was none.
        webhook: the host of the webhook that the earlier job calls, but a job from this page does not.
        once: the random text of the form that was sent, by which repeated requests are recognised.
    """
    status = problem.status if problem else 422 if refused else 200
    chosen = {role: getattr(typed, role) for role in INPUT_KINDS}
    return render(
        request, "new.html", status=status, typed=typed, checked=checked, refused=refused, problem=problem,
        answer=answer, webhook=webhook,
        choices={role: _choices(context, kind, chosen[role]) for role, kind in INPUT_KINDS.items()},
        titles=TITLES, presets=PRESET_DESCRIPTIONS, profiles=PROFILES, gates=FORM_GATES, gate_prefix=GATE_PREFIX,
        spec_keys=spec_keys(),
        spec_text=as_yaml(checked.spec) if checked and checked.spec else "", once=once or secrets.token_hex(16),
    )  # fmt: skip


def _choices(context: Context, kind: Kind, chosen: str) -> Sequence[Choice]:
    """Return the newest files of a kind; the chosen one is among them, unless it does not exist."""
    uploads, _ = context.records.uploads(context.tenant, kind, OFFERED, None)
    if chosen and all(upload.id != chosen for upload in uploads):
        try:
            uploads.append(context.records.upload(kind, chosen, context.tenant))
        except NotFound:
            return [*map(_choice, uploads), Choice(chosen, f"{chosen} (deleted: choose another)")]
    return [_choice(upload) for upload in uploads]


def _choice(upload: Upload) -> Choice:
    samples = [] if upload.samples is None else [f"{upload.samples} samples"]
    parts: list[Any] = [upload.filename or upload.id, *samples, size(upload.size), age(upload.created_at)]
    return Choice(upload.id, " · ".join(parts))
