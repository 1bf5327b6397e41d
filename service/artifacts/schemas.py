"""Artifacts as the API lists them."""

from pydantic import BaseModel, ConfigDict

from jobs.job import Job


class ArtifactOut(BaseModel):
    """A file that a job produced."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str
    """The name of the file."""
    size: int
    """Its size in bytes."""
    sha256: str
    """Its SHA-256 in hexadecimal."""
    media_type: str
    """Its media type."""
    url: str
    """The URL to download it from."""


class ArtifactPage(BaseModel):
    """The list of a job's artifacts; it always fits on one page."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[ArtifactOut]
    """The artifacts."""
    next_cursor: None = None
    """Always null."""


def artifact_page(job: Job) -> ArtifactPage:
    """Return the artifacts of a job with their URLs."""
    items = [
        {**artifact.model_dump(), "url": f"/v1/jobs/{job.id}/artifacts/{artifact.name}"} for artifact in job.artifacts
    ]
    return ArtifactPage.model_validate({"items": items})
