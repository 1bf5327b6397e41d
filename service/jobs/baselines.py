"""The baseline of a job that is submitted: an earlier job of the tenant, by its id or a tag."""

from pydantic import BaseModel, ValidationError

from jobs.errors import Conflict, NotFound
from jobs.job import Job, Status
from jobs.records import JobFilter
from quant.errors import DataRequired, FieldError, QuantdError
from quant.outcome.artifacts import MANIFEST
from quant.outcome.baseline import Baseline
from quant.spec import Spec
from service.artifacts.report import find_artifact
from service.context import Context

PAGE = 100
MOST = 1000
"""The number of the newest jobs with the tag that are searched for one with the model's name."""


class _File(BaseModel):
    sha256: str


class _Manifest(BaseModel):
    """The part of a manifest that says what a job has read; the worker has verified it."""

    inputs: dict[str, _File]


def find_baseline(context: Context, name: str | None, model_name: str | None) -> Baseline | None:
    """Return the baseline as it is now; None without a name.

    Args:
        context: The application and the caller.
        name: The id of a job, or a tag `key:value`.
        model_name: The name of the model's file; a job that is found by its tag has it, too.

    Raises:
        NotFound: there is no such job, or none with this tag has succeeded.
        Conflict: the job has not succeeded, or cannot be read.
    """
    if name is None:
        return None
    job = _newest(context, name, model_name) if ":" in name else _named(context, name)
    if job.status != Status.SUCCEEDED or job.summary is None:
        raise _refusal(Conflict, f"the job {job.id!r} is {job.status}; accepted: a job that has succeeded")
    try:
        manifest = _Manifest.model_validate_json(context.blobs.read(find_artifact(job, MANIFEST.name).key))
    except ValidationError:
        raise _refusal(Conflict, f"the manifest of job {job.id!r} cannot be read; accepted: another job") from None
    return Baseline(
        job=job.id,
        inputs={role: file.sha256 for role, file in manifest.inputs.items()},
        summary=job.summary,
        latency_ratio=None if job.latency is None else job.latency.ratio,
    )


def require_baseline(spec: Spec) -> None:
    """Raise if a gate of the spec compares with a baseline; call it for a job without one.

    Raises:
        DataRequired: there is such a gate.
    """
    detail = "compares with a baseline; accepted: with `baseline`, the id or a tag of an earlier job"
    faults = [FieldError(f"/gates/{gate.name}", detail) for gate, _ in spec.gates.requested() if gate.of_baseline]
    if faults:
        raise DataRequired("; ".join(f"{fault.pointer} {fault.detail}" for fault in faults), faults)


def _named(context: Context, job_id: str) -> Job:
    try:
        return context.records.job(job_id, context.tenant)
    except NotFound as error:
        raise _refusal(NotFound, error.detail) from None


def _newest(context: Context, tag: str, model_name: str | None) -> Job:
    """Return the newest job with a tag that has succeeded, for a model file of the same name."""
    conditions = JobFilter(status=Status.SUCCEEDED, tags=(tag,), name=model_name)
    cursor: str | None = None
    for _ in range(MOST // PAGE):
        jobs, cursor = context.records.jobs(context.tenant, PAGE, cursor, conditions)
        for job in jobs:
            if model_name is None or job.model_name == model_name:
                return job
        if cursor is None:
            break
    of_model = "" if model_name is None else f" for a model file of the name {model_name!r}"
    raise _refusal(
        NotFound, f"no job with the tag {tag!r} has succeeded{of_model}; accepted: the tag or id of such a job"
    )


def _refusal(kind: type[QuantdError], detail: str) -> QuantdError:
    return kind(f"the baseline: {detail}", [FieldError("/baseline", detail)])
