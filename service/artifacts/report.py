"""The artifacts of a job by name, and its report and its page with measured times."""

import json
from typing import Any

from jobs.errors import Conflict, NotFound
from jobs.job import Artifact, Job
from quant.outcome.artifacts import REPORT, REPORT_PAGE
from quant.outcome.job_parts import JobFacts, fill_page
from service.artifacts.download import Document
from service.context import Context


def find_artifact(job: Job, name: str) -> Artifact:
    """Return the artifact of a job with this name.

    Raises:
        Conflict: the job has no artifacts, because it has not succeeded.
        NotFound: the job has no artifact with this name.
    """
    for artifact in job.artifacts:
        if artifact.name == name:
            return artifact
    if not job.artifacts:
        raise Conflict(f"job {job.id!r} is {job.status} and has no artifacts; only a succeeded job has them")
    names = ", ".join(artifact.name for artifact in job.artifacts)
    raise NotFound(f"job {job.id!r} has no artifact {name!r}; it has {names}")


def timed_report(context: Context, job: Job) -> dict[str, Any]:
    """Return the stored report with the job's times and the latency of its models filled in.

    The stored report has no times, so that equal jobs produce equal bytes.
    """
    report: dict[str, Any] = json.loads(context.blobs.read(find_artifact(job, REPORT.name).key))
    report["summary"]["seconds"] = job.summary.seconds if job.summary else None
    report["latency"] = job.latency and job.latency.model_dump(mode="json")
    for layer in report["layers"]:
        layer["seconds"] = job.timings.get(layer["name"])
    return report


def report_page(context: Context, job: Job) -> Document:
    """Return the stored page with the job's id, all its gates and the latency, for which the page has places."""
    artifact = find_artifact(job, REPORT_PAGE.name)
    page = fill_page(context.blobs.read(artifact.key), JobFacts(job.gates, job.latency, job.id))
    return Document.of_bytes(page, artifact.name, artifact.media_type)
