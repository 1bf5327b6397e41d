"""The tools: each calls the functions of the endpoint that answers the same question over HTTP."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool

from jobs.errors import Forbidden
from jobs.job import Job
from jobs.keys import Scope
from quant.errors import QuantdError
from quant.spec import resolve
from service.agents.arguments import (
    CompareArguments,
    JobArguments,
    PlanArguments,
    QuantizeArguments,
    ReportArguments,
)
from service.agents.results import comparison_result, job_result, plan_result, report_result
from service.comparison.reports import compare_jobs, read_report
from service.context import Context
from service.jobs.following import wait_for_end
from service.jobs.schemas import JobIn
from service.jobs.submission import checked_spec, submit_job
from service.plans.endpoints import show_plan
from service.plans.submission import submit_plan
from service.problems import invalid_request
from service.sources.schemas import SourceIn
from service.sources.submission import submit_fetch
from service.uploads.inputs import INPUT_KINDS

Answer = dict[str, Any]


@dataclass(frozen=True)
class AgentTool:
    """A tool: its arguments, the scope that the key needs, and the function that answers.

    The function's docstring is the description that agents read.
    """

    title: str
    arguments: type[BaseModel]
    scope: Scope
    answer: Callable[[Context, Any], Awaitable[Answer]]

    @property
    def name(self) -> str:
        """The name by which agents call the tool."""
        return self.answer.__name__

    @property
    def description(self) -> str:
        """The description for agents."""
        return " ".join((self.answer.__doc__ or "").split())

    @property
    def reads_only(self) -> bool:
        """True if a call changes nothing."""
        return self.scope == Scope.READ


async def call_tool(context: Context, tool: AgentTool, arguments: Mapping[str, Any]) -> Answer:
    """Check the scope of the caller and the arguments, and return the tool's answer.

    Raises:
        Forbidden: the caller's key lacks the scope.
        BadRequest: the arguments do not fit their model.
        QuantdError: as the endpoint of the same name.
    """
    if tool.scope not in context.caller.scopes:
        has = ", ".join(context.caller.scopes)
        raise Forbidden(f"{tool.name} needs the scope `{tool.scope}`; the key {context.caller.key_id} has {has}")
    try:
        checked = tool.arguments.model_validate(arguments)
    except ValidationError as error:
        faults = [{**fault, "loc": ("arguments", *fault["loc"])} for fault in error.errors()]
        raise invalid_request(faults, tool.arguments.model_fields) from None
    return await tool.answer(context, checked)


async def plan(context: Context, arguments: PlanArguments) -> Answer:
    """Find out in seconds and without data what a job with this spec would do.

    The answer has the size with every preset, the expected SQNR of the weights, the kernels, and what stays in float
    and why.
    """

    def submit() -> Job:
        resolve(arguments.spec)  # before a fetch begins
        model = _upload_id(context, "model", arguments.model, arguments.credentials)
        return submit_plan(context, model, arguments.spec, None)

    job = await run_in_threadpool(submit)
    context.affected.append(job.id)
    ended = await _waited(context, job, arguments.wait_s)
    return plan_result(await run_in_threadpool(show_plan, context, ended), arguments.layers)


async def quantize(context: Context, arguments: QuantizeArguments) -> Answer:
    """Submit a job that quantizes an uploaded model.

    If an equal job succeeded before, the new one succeeds at once with `cached: true`. The default preset, `int8`,
    needs calibration data; `int8-weights`, for example, needs none.
    """
    key = arguments.idempotency_key

    def submit() -> Job:
        request = arguments.model_dump(include=set(JobIn.model_fields))
        roles = [role for role in INPUT_KINDS if request[role] is not None]
        checked_spec(arguments.spec, roles)  # before a fetch begins
        for role in roles:
            request[role] = _upload_id(context, role, request[role], arguments.credentials, key and f"{key} {role}")
        return submit_job(context, request, key, arguments.rerun)

    job = await run_in_threadpool(submit)
    context.affected.append(job.id)
    return job_result(await _waited(context, job, arguments.wait_s))


async def get_job(context: Context, arguments: JobArguments) -> Answer:
    """Show a job, or wait for its end.

    The answer has its status, progress, gates, verdict and summary, the error of a failed job, and links to artifacts.
    """
    job = await run_in_threadpool(context.records.job, arguments.job, context.tenant)
    return job_result(await _waited(context, job, arguments.wait_s))


async def get_report(context: Context, arguments: ReportArguments) -> Answer:
    """Show the most important parts of a job's report.

    They are its gates and figures, the diagnosis in one sentence, the layers that cause the loss with alternatives to
    paste into the spec, and warnings.
    """

    def read() -> Answer:
        job = context.records.job(arguments.job, context.tenant)
        return report_result(job, read_report(context, job), arguments.layers)

    return await run_in_threadpool(read)


async def compare(context: Context, arguments: CompareArguments) -> Answer:
    """Compare a job, `b`, with a baseline, `a`: figures, gates, layers and specs.

    A difference is the figure of the job less that of the baseline.
    """

    def read() -> Answer:
        a, b = (context.records.job(job, context.tenant) for job in (arguments.baseline, arguments.job))
        return comparison_result(compare_jobs(context, a, b), arguments.layers)

    return await run_in_threadpool(read)


def _upload_id(
    context: Context, role: str, named: str, credentials: str | None, idempotency_key: str | None = None
) -> str:
    """Return the id that the caller named, or that of the upload that a worker fetches from the named location.

    The same idempotency key returns the upload that was fetched first.

    Raises:
        QuantdError: the location is not allowed, or a quota is used up; a fault has the argument as its pointer.
    """
    if ":" not in named:  # a location has a scheme
        return named
    try:
        upload = submit_fetch(
            context, INPUT_KINDS[role], SourceIn(source=named, credentials=credentials), idempotency_key
        )
    except QuantdError as error:
        places = {"/source": f"/{role}"}
        error.errors = tuple(replace(fault, pointer=places.get(fault.pointer, fault.pointer)) for fault in error.errors)
        raise
    context.affected.append(upload.id)
    return upload.id


async def _waited(context: Context, job: Job, seconds: int) -> Job:
    """Return the job after its end, or as it is after `seconds`."""
    return job if job.final or not seconds else await wait_for_end(context, job, seconds)


TOOLS = {
    tool.name: tool
    for tool in (
        AgentTool("Plan a job", PlanArguments, Scope.WRITE, plan),
        AgentTool("Submit a job", QuantizeArguments, Scope.WRITE, quantize),
        AgentTool("Show a job", JobArguments, Scope.READ, get_job),
        AgentTool("Show a report", ReportArguments, Scope.READ, get_report),
        AgentTool("Compare two jobs", CompareArguments, Scope.READ, compare),
    )
}
"""The tools by name."""
