"""Jobs as callers submit them and as the API shows them."""

import base64
import binascii
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator

from jobs.job import Gate, Job, Problem, Progress, Status
from quant.outcome.latency import Latency
from quant.outcome.stages import Stage
from quant.outcome.summary import Summary
from service.documents import plain


def _check_secret(text: str) -> str:
    """Return the secret unchanged if it has the form of Standard Webhooks.

    Raises:
        ValueError: it has another form.
    """
    try:
        size = len(base64.b64decode(text.removeprefix("whsec_"), validate=True))
    except binascii.Error:
        size = 0
    if not text.startswith("whsec_") or not 24 <= size <= 64:
        raise ValueError("accepted: whsec_ and 24 to 64 bytes in base64")
    return text


WebhookSecret = Annotated[str, AfterValidator(_check_secret)]
TagKey = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern="^[^:]*$")]
TagValue = Annotated[str, StringConstraints(max_length=256)]


class WebhookIn(BaseModel):
    """A URL that receives a POST when the job ends (Standard Webhooks); the POST is signed if there is a secret."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, StringConstraints(max_length=2048)]
    secret: WebhookSecret | None = None


class JobIn(BaseModel):
    """A job to submit: the ids of an uploaded model and of its datasets, and the spec."""

    model_config = ConfigDict(extra="forbid")

    model: str
    calibration: str | None = None
    evaluation: str | None = None
    spec: dict[str, Any] = {}
    tags: dict[TagKey, TagValue] = Field(default={}, max_length=32)
    webhook: WebhookIn | None = None

    @field_validator("spec", "tags", mode="before")
    @classmethod
    def _plain(cls, document: Any) -> Any:
        return plain(document)


class JobOut(BaseModel):
    """A job; `links` holds the URLs of its events, report and artifacts."""

    id: str
    status: Status
    stage: Stage | None
    progress: Progress | None
    model: str
    calibration: str | None
    evaluation: str | None
    spec: dict[str, Any]
    tags: dict[str, str]
    created_at: str
    started_at: str | None
    finished_at: str | None
    attempt: int
    cached: bool
    verdict: str | None
    gates: list[Gate]
    error: Problem | None
    summary: Summary | None
    latency: Latency | None
    links: dict[str, str]


class JobPage(BaseModel):
    """One page of the list of jobs."""

    items: list[JobOut]
    next_cursor: str | None


def job_out(job: Job) -> JobOut:
    """Return a job as the API shows it."""
    url = f"/v1/jobs/{job.id}"
    links = {"self": url, "events": f"{url}/events", "cancel": f"{url}/cancel"}
    if job.artifacts:
        links |= {"report": f"{url}/report", "report_html": f"{url}/report.html", "artifacts": f"{url}/artifacts"}
    return JobOut.model_validate({**job.model_dump(), "links": links})
