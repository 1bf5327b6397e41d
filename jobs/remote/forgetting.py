"""Removal of secrets from the record of a job that has ended: the query of a URL may be a signature."""

from typing import Any

from jobs.job import Job, Status
from jobs.remote.locations import parse_location


def without_signatures(job: Job, status: Status) -> dict[str, Any]:
    """Return the fields of a job that had secrets, without them, as they are recorded with its final state.

    The destination of a job that succeeds keeps its own: they are needed for the copy, and removed after it.
    """
    fields: dict[str, Any] = {}
    if job.fetch is not None:
        source = parse_location(job.fetch.source, "source").shown
        fields["fetch"] = job.fetch.model_copy(update={"source": source}).model_dump(mode="json")
    if job.destination is not None and status != Status.SUCCEEDED:
        url = parse_location(job.destination.url, "destination").shown
        skipped = job.destination.model_copy(update={"url": url, "status": "skipped"})
        fields["destination"] = skipped.model_dump(mode="json")
    return fields
