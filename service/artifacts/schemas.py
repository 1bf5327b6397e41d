"""Artifacts as the API lists them."""

from pydantic import BaseModel

from jobs.job import Job


class ArtifactOut(BaseModel):
    """A file that a job produced."""

    name: str
    size: int
    sha256: str
    media_type: str
    url: str


class ArtifactPage(BaseModel):
    """The list of a job's artifacts; it always fits on one page."""

    items: list[ArtifactOut]
    next_cursor: str | None = None


def artifact_page(job: Job) -> ArtifactPage:
    """Return the artifacts of a job with their URLs."""
    items = [
        {**artifact.model_dump(), "url": f"/v1/jobs/{job.id}/artifacts/{artifact.name}"} for artifact in job.artifacts
    ]
    return ArtifactPage.model_validate({"items": items})
