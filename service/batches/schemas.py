"""Batches as callers submit them and as the API shows them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from jobs.batch import Batch, BatchStatus
from jobs.job import Job, Problem, Status, Timestamp
from jobs.records.batches import BatchCounts, counts_of
from quant.outcome.gates import Verdict
from quant.outcome.summary import Summary
from service.documents import plain
from service.jobs.schemas import BaselineName, JobIn, RawSpec, TagKey, TagValue, WebhookIn

MOST_JOBS = 256
"""The most jobs of one batch."""
Preset = Annotated[str, StringConstraints(max_length=64)]


class BatchIn(BaseModel):
    """Jobs to submit together: every model with every spec and preset, or a list of jobs.

    The other fields hold for all jobs. A job of the list may set them itself; its tags are added to those of the batch.
    """

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    models: list[str] = Field(default=[], max_length=MOST_JOBS)
    """The ids of uploaded models."""
    specs: list[RawSpec] = Field(default=[], max_length=MOST_JOBS)
    """The specs that each model is quantized with."""
    presets: list[Preset] = Field(default=[], max_length=MOST_JOBS)
    """Names of presets that each model is quantized with, too: short for specs with a preset only."""
    jobs: list[JobIn] = Field(default=[], max_length=MOST_JOBS)
    """The jobs one by one, instead of models, specs and presets."""
    calibration: str | None = None
    """The id of an uploaded dataset for calibration."""
    evaluation: str | None = None
    """The id of an uploaded dataset for evaluation."""
    tags: dict[TagKey, TagValue] = Field(default={}, max_length=32)
    """Up to 32 tags by key, which the batch and all of its jobs get."""
    priority: int = Field(default=0, ge=-10, le=10)
    """The priority of the jobs among the tenant's own, -10 to 10: each step counts as ten minutes of waiting."""
    baseline: BaselineName | None = None
    """The earlier job to compare with: its id, or a tag `key:value`, by which each job finds that of its model."""
    webhook: WebhookIn | None = None
    """The URL to notify once, when the last job has ended."""

    @field_validator("specs", "tags", mode="before")
    @classmethod
    def _plain(cls, document: Any) -> Any:
        return plain(document)

    @model_validator(mode="after")
    def _check_jobs(self) -> Self:
        if bool(self.jobs) == bool(self.models) or (self.jobs and (self.specs or self.presets)):
            raise ValueError("accepted: either `jobs`, or `models` with `specs` and `presets`")
        count = len(self.jobs) + len(self.models) * max(1, len(self.specs) + len(self.presets))
        if count > MOST_JOBS:
            raise ValueError(f"the batch has {count} jobs; accepted: at most {MOST_JOBS}")
        return self


class BatchJob(BaseModel):
    """One job of a batch."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    """The id of the job."""
    status: Status
    """The state of the job."""
    verdict: Verdict
    """`pass` or `fail`, the result of all gates together; null without gates and before the job has ended."""
    cached: bool
    """True if the result is that of an earlier job."""
    model: str
    """The id of the model."""
    model_name: str | None
    """The name of the model's file; null if it had none."""
    spec: RawSpec
    """The spec as it was submitted."""
    tags: dict[str, str]
    """The tags by key."""
    error: Problem | None
    """The reason of a failed job; else null."""
    summary: Summary | None
    """The most important figures of a job that succeeded; else null."""
    url: str
    """The path of the job."""


class BatchStatuses(BaseModel):
    """The numbers of a batch's jobs by status."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    queued: int
    """The jobs that wait for a worker."""
    running: int
    """The jobs that run."""
    succeeded: int
    """The jobs that succeeded."""
    failed: int
    """The jobs that failed."""
    cancelled: int
    """The jobs that were cancelled."""
    deleted: int
    """The jobs that were deleted after their end."""


class BatchVerdicts(BaseModel):
    """The numbers of a batch's jobs by verdict."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    passed: int
    """The jobs whose gates passed."""
    failed: int
    """The jobs of which a gate failed."""
    none: int
    """The jobs without gates, and those that have not succeeded."""


class BatchItem(BaseModel):
    """A batch in the list of batches."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    """The id of the batch."""
    status: BatchStatus
    """`running` until all jobs have ended; then `failed` if a job failed, `cancelled` if one was, or `succeeded`."""
    verdict: Verdict
    """`fail` if a gate of a job failed, else `pass`; null without gates and before the end of the batch."""
    statuses: BatchStatuses
    """The numbers of its jobs by status."""
    verdicts: BatchVerdicts
    """The numbers of its jobs by verdict."""
    tags: dict[str, str]
    """The tags that all of its jobs have."""
    created_at: Timestamp
    """The time of the submission (RFC 3339, UTC)."""
    finished_at: Timestamp | None
    """The time at which the last job ended (RFC 3339, UTC); null before."""
    links: dict[str, str]
    """The URLs of the batch, by their kind."""


class BatchOut(BatchItem):
    """A batch with its jobs."""

    jobs: list[BatchJob]
    """The jobs in the order of the request: those of the first model first. Deleted jobs are left out."""


class BatchPage(BaseModel):
    """One page of the list of batches."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[BatchItem]
    """The entries of this page."""
    next_cursor: str | None
    """The `cursor` of the next page; null on the last one."""


def batch_item(batch: Batch, counts: BatchCounts) -> BatchItem:
    """Return a batch as the list shows it."""
    return BatchItem.model_validate(_fields(batch, counts))


def batch_out(batch: Batch, jobs: Sequence[Job]) -> BatchOut:
    """Return a batch as the API shows it; `jobs` are those that were not deleted."""
    rows = [{**job.model_dump(), "url": f"/v1/jobs/{job.id}"} for job in jobs]
    return BatchOut.model_validate({**_fields(batch, counts_of(batch, jobs)), "jobs": rows})


def _fields(batch: Batch, counts: BatchCounts) -> Mapping[str, Any]:
    passed, failed = counts.verdicts.get("pass", 0), counts.verdicts.get("fail", 0)
    judged = {"passed": passed, "failed": failed, "none": sum(counts.statuses.values()) - passed - failed}
    url = f"/v1/batches/{batch.id}"
    return {
        **batch.model_dump(), "statuses": {**counts.statuses, "deleted": counts.deleted}, "verdicts": judged,
        "links": {"self": url, "cancel": f"{url}/cancel"},
    }  # fmt: skip
