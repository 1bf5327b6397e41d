"""What callers see of a job."""

from typing import Any

from pydantic import BaseModel

from jobs.job import Gate, Job, Problem, Progress, Stage, Status, Summary


class JobOut(BaseModel):
    """A job; `links` says where its parts are."""

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
    links: dict[str, str]


def view(job: Job) -> JobOut:
    here = f"/v1/jobs/{job.id}"
    links = {"self": here, "events": f"{here}/events", "cancel": f"{here}/cancel"}
    if job.artifacts:
        links |= {"report": f"{here}/report", "report_html": f"{here}/report.html", "artifacts": f"{here}/artifacts"}
    return JobOut.model_validate({**job.model_dump(), "links": links})
