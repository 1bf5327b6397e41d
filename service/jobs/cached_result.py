"""Reuse of an earlier job's result for the same work."""

from jobs.archive import folder
from jobs.errors import NotFound
from jobs.job import Artifact, Job, Status
from service.context import Context

COPIED = ("gates", "verdict", "summary", "timings", "latency", "comparison")
"""The fields that a job takes from the earlier one, besides copies of its artifacts."""


def reuse_result(context: Context, job: Job) -> Job:
    """Return the job as succeeded, with copies of the artifacts, if the tenant has the result; else unchanged.

    Each job has its own copies, so that they are deleted with it. A copy is a hard link in a local folder and needs no
    transfer on S3.
    """
    earlier = context.records.result(job.tenant, job.work) if job.work else None
    if earlier is None:
        return job
    try:
        artifacts = tuple(_copy(context, job, artifact) for artifact in earlier.artifacts)
    except NotFound:  # the earlier job is being deleted
        context.archive.drop_artifacts(job)
        return job
    copied = {name: getattr(earlier, name) for name in COPIED}
    ended = {"status": Status.SUCCEEDED, "cached": True, "finished_at": job.created_at, "progress": earlier.progress}
    return job.model_copy(update={**copied, **ended, "artifacts": artifacts})


def _copy(context: Context, job: Job, artifact: Artifact) -> Artifact:
    key = f"{folder(job)}/{artifact.sha256}/{artifact.name}"
    context.blobs.copy(artifact.key, key)
    return artifact.model_copy(update={"key": key})
