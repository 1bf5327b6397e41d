"""A job as a row of the list shows it, and as its live progress."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobs.job import Job, Status
from service.pages.formats import age, decibels, percent, size

ERROR_LENGTH = 160
"""The list shows this many characters of an error; the job's page shows all of it."""


@dataclass(frozen=True)
class JobState:
    """The state of a job in words and, while it runs, as a share.

    Attributes:
        status: the job's status.
        final: True if the job has ended.
        text: the status in words, with the stage of a running job.
        fraction: the completed share of the stage, 0 to 1; None unless the job runs.
    """

    status: Status
    final: bool
    text: str
    fraction: float | None


@dataclass(frozen=True)
class JobRow:
    """One row of the list of jobs; every figure is text with its unit, or "" where there is none."""

    id: str
    name: str
    preset: str
    tags: tuple[str, ...]
    state: JobState
    error: str
    size: str
    size_share: str
    sqnr: str
    verdict: str
    created_at: str
    age: str
    cached: bool
    has_report: bool


def job_name(job: Job) -> str:
    """Return the name of the job's model for people: its file's name, else its id."""
    return job.model_name or job.model


def preset_of(spec: dict[str, Any]) -> str:
    """Return the preset of a spec as it was submitted."""
    return str(spec.get("preset", "int8"))


def job_state(job: Job) -> JobState:
    """Return the state of a job."""
    if job.status != Status.RUNNING or job.stage is None:
        text = "succeeded, from an earlier result" if job.cached and job.status == Status.SUCCEEDED else job.status
        return JobState(job.status, job.final, text, 0.0 if job.status == Status.RUNNING else None)
    fraction = job.progress.fraction if job.progress else 0.0
    return JobState(job.status, False, f"running: {job.stage}", min(max(fraction, 0.0), 1.0))


def job_row(job: Job, now: datetime | None = None) -> JobRow:
    """Return the row of a job."""
    summary = job.summary
    return JobRow(
        id=job.id,
        name=job_name(job),
        preset=preset_of(job.spec),
        tags=tuple(f"{key}:{value}" for key, value in job.tags.items()),
        state=job_state(job),
        error=_shortened(job.error.detail) if job.error else "",
        size=size(summary.bytes_after) if summary else "",
        size_share=percent(summary.size_ratio) if summary else "",
        sqnr=decibels(summary.output_sqnr_db) if summary else "",
        verdict=job.verdict or "",
        created_at=job.created_at,
        age=age(job.created_at, now),
        cached=job.cached,
        has_report=bool(job.artifacts),
    )


def _shortened(text: str) -> str:
    return text if len(text) <= ERROR_LENGTH else text[: ERROR_LENGTH - 1] + "…"
