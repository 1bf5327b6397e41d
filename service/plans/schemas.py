"""Plans as callers ask for them and as the API shows them."""

from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from jobs.job import Job, Problem, Status, Timestamp
from quant.outcome.plan import Plan
from service.documents import plain
from service.jobs.schemas import RawSpec


class PlanIn(BaseModel):
    """A plan to make: the id of an uploaded model, and the spec of the job that it is for."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    model: str
    """The id of an uploaded model."""
    spec: RawSpec = {}
    """The quantization spec; `/v1/capabilities` has its JSON Schema."""

    @field_validator("spec", mode="before")
    @classmethod
    def _plain(cls, document: Any) -> Any:
        return plain(document)


class PlanOut(BaseModel):
    """A plan that was asked for."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    """The id of the plan."""
    status: Status
    """The state of the plan: `queued`, `running`, `succeeded`, `failed` or `cancelled`."""
    model: str
    """The id of the model."""
    spec: RawSpec
    """The spec as it was submitted."""
    created_at: Timestamp
    """The time of the request (RFC 3339, UTC)."""
    finished_at: Timestamp | None
    """The time at which the plan was ready or failed (RFC 3339, UTC); null before."""
    cached: bool
    """True if the result is that of an earlier plan."""
    error: Problem | None
    """The reason of a failed plan; else null."""
    result: Plan | None
    """The plan, once it has succeeded; else null."""
    links: dict[str, str]
    """The URL of the plan, by its kind."""


def plan_out(job: Job, result: Plan | None) -> PlanOut:
    """Return a plan as the API shows it."""
    return PlanOut.model_validate({**job.model_dump(), "result": result, "links": {"self": plan_url(job)}})


def plan_url(job: Job) -> str:
    """Return the path of a plan."""
    return f"/v1/plans/{job.id}"
