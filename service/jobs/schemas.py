"""Jobs as callers submit them and as the API shows them."""

import base64
import binascii
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
    field_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from jobs.job import CopyStatus, Gate, Job, Problem, Progress, Status, Timestamp
from jobs.remote.locations import LONGEST, parse_location
from quant.outcome.gates import Verdict
from quant.outcome.latency import Latency
from quant.outcome.report.changes import BaselineComparison
from quant.outcome.stages import Stage
from quant.outcome.summary import Summary
from quant.spec import Spec
from service.documents import plain
from service.sources.schemas import CredentialsName


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
ArtifactName = Annotated[str, StringConstraints(min_length=1, max_length=255)]
TagKey = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern="^[^:]*$")]
TagValue = Annotated[str, StringConstraints(max_length=256)]
BaselineName = Annotated[str, StringConstraints(min_length=1, max_length=330)]
"""The id of a job, or a tag `key:value`."""


class _SchemaOfSpecs:
    """The JSON Schema of a spec, for a field that holds it as the caller wrote it."""

    @classmethod
    def __get_pydantic_json_schema__(cls, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(Spec.__pydantic_core_schema__)


RawSpec = Annotated[dict[str, Any], _SchemaOfSpecs]
"""A spec as the caller wrote it, without preset and defaults."""


class WebhookIn(BaseModel):
    """A URL that receives a POST when the job ends (Standard Webhooks); the POST is signed if there is a secret."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    url: Annotated[str, StringConstraints(max_length=2048)]
    """The URL, with `https` unless the service allows others."""
    secret: WebhookSecret | None = None
    """The secret that signs the request: `whsec_` and 24 to 64 bytes in base64."""


class DestinationIn(BaseModel):
    """A place that a worker copies the artifacts to when the job has succeeded."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    url: Annotated[str, StringConstraints(max_length=LONGEST)]
    """The location: `s3://bucket/prefix`, `https://host/folder` (each artifact by PUT), the presigned URL of one
    object, or `mlflow:/runs/RUN_ID`. The operator of the service decides which are allowed."""
    credentials: CredentialsName | None = None
    """The name of credentials that the operator of the service has set up."""
    artifacts: Annotated[list[ArtifactName], Field(min_length=1)] | None = None
    """The names of the artifacts to copy; all of them by default, and for a presigned URL `model.onnx`."""


class DestinationOut(BaseModel):
    """A place that a worker copies the artifacts to, and the state of the copy. The job has its result in any case."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    url: str
    """The location, without the query of a URL."""
    credentials: str | None
    """The name of the credentials."""
    artifacts: list[str] | None
    """The names of the artifacts to copy; null for the default."""
    status: CopyStatus
    """`waiting` for the job to succeed or for the first attempt, `retrying` after a failed attempt, `copied`, `failed`
    after the last attempt, or `skipped` if the job did not succeed."""
    attempts: int
    """The number of attempts that have ended."""
    error: Problem | None
    """The reason why the latest attempt failed; else null."""
    finished_at: Timestamp | None
    """The time at which the artifacts were copied or the copy was given up (RFC 3339, UTC); null before."""


class JobIn(BaseModel):
    """A job to submit: the ids of an uploaded model and of its datasets, and the spec."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    model: str
    """The id of an uploaded model."""
    calibration: str | None = None
    """The id of an uploaded dataset for calibration."""
    evaluation: str | None = None
    """The id of an uploaded dataset for evaluation."""
    spec: RawSpec = {}
    """The quantization spec; `/v1/capabilities` has its JSON Schema."""
    tags: dict[TagKey, TagValue] = Field(default={}, max_length=32)
    """Up to 32 tags by key, by which jobs can be listed."""
    priority: int = Field(default=0, ge=-10, le=10)
    """The priority among the tenant's own jobs, -10 to 10: each step counts as ten minutes of waiting."""
    baseline: BaselineName | None = None
    """The earlier job to compare with: its id, or a tag `key:value` for the newest job with this tag that succeeded for
    a model file of the same name. Gates such as `max_output_sqnr_db_regression` limit the differences."""
    webhook: WebhookIn | None = None
    """The URL to notify when the job ends."""
    destination: DestinationIn | None = None
    """The place to copy the artifacts to."""

    @field_validator("spec", "tags", mode="before")
    @classmethod
    def _plain(cls, document: Any) -> Any:
        return plain(document)


class JobOut(BaseModel):
    """A job."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    """The id of the job."""
    status: Status
    """The state of the job."""
    stage: Stage | None
    """The stage that runs; null while the job does not run."""
    progress: Progress | None
    """The latest progress; null before the first."""
    model: str
    """The id of the model."""
    model_name: str | None = None
    """The name of the model's file; null if it had none. It stays when the model is deleted."""
    calibration: str | None
    """The id of the calibration dataset; null without one."""
    evaluation: str | None
    """The id of the evaluation dataset; null without one."""
    spec: RawSpec
    """The spec as it was submitted."""
    tags: dict[str, str]
    """The tags by key."""
    priority: int
    """The priority among the tenant's own jobs."""
    batch: str | None = None
    """The id of the batch that the job belongs to; null without one."""
    baseline: str | None = None
    """The id of the earlier job that the job is compared with; null without one."""
    comparison: BaselineComparison | None = None
    """The comparison with the baseline; null without one and before the job has succeeded."""
    created_at: Timestamp
    """The time of the submission (RFC 3339, UTC)."""
    started_at: Timestamp | None
    """The start of the latest attempt (RFC 3339, UTC); null while the job waits."""
    finished_at: Timestamp | None
    """The time at which the job ended (RFC 3339, UTC); null before."""
    attempt: int
    """The number of attempts that were started."""
    cached: bool
    """True if the result is that of an earlier job."""
    verdict: Verdict
    """`pass` or `fail`, the result of all gates together; null without gates and before the job has ended."""
    gates: list[Gate]
    """The checked gates."""
    error: Problem | None
    """The reason of a failed job; else null."""
    summary: Summary | None
    """The most important figures of a job that succeeded; else null."""
    latency: Latency | None
    """The measured latency of both models; null if the spec asks for no measurement."""
    destination: DestinationOut | None
    """The place that the artifacts are copied to; null without one."""
    links: dict[str, str]
    """The URLs of the job, its events, report and artifacts, by their kind."""


class JobPage(BaseModel):
    """One page of the list of jobs."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[JobOut]
    """The entries of this page."""
    next_cursor: str | None
    """The `cursor` of the next page; null on the last one."""


def job_out(job: Job) -> JobOut:
    """Return a job as the API shows it."""
    url = f"/v1/jobs/{job.id}"
    links = {"self": url, "events": f"{url}/events", "cancel": f"{url}/cancel"}
    if job.artifacts:
        links |= {"report": f"{url}/report", "report_html": f"{url}/report.html", "artifacts": f"{url}/artifacts"}
    return JobOut.model_validate(
        {
            **job.model_dump(),
            "baseline": job.baseline and job.baseline.job,
            "destination": destination_out(job),
            "links": links,
        }
    )


def destination_out(job: Job) -> DestinationOut | None:
    """Return the destination of a job as the API shows it; None without one."""
    if job.destination is None:
        return None
    shown = parse_location(job.destination.url, "destination").shown
    return DestinationOut.model_validate({**job.destination.model_dump(), "url": shown})
