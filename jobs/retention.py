"""Removing what nobody asked for in a long time, and what nobody was ever told of.

A job expires some days after its end. A model or dataset expires some days after it was last uploaded or named by a
job, and never while a job that has not ended uses it: that is checked in the step that removes it.
"""

import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from jobs.archive import KINDS, RECORD, SUFFIX, Archive
from jobs.blobs import Blobs, Entry
from jobs.errors import Conflict, NotFound
from jobs.records import Records

DAY_S = 24 * 3600
ABANDONED_S = DAY_S
"""A blob without a record that is older was left by a process that was killed, or by an upload that was given up."""


@dataclass(frozen=True)
class Collected:
    """How many were removed: jobs and uploads that had expired, and blobs that belonged to nothing."""

    jobs: int
    uploads: int
    blobs: int


def collect(records: Records, blobs: Blobs, days: float) -> Collected:
    """Remove what was not used for that many days, and abandoned blobs."""
    archive = Archive(blobs)
    archive.catch_up(records)
    if math.isinf(days):
        return Collected(0, 0, _collect_abandoned(blobs))
    before = time.time() - days * DAY_S
    return Collected(
        _collect_jobs(records, archive, before), _collect_uploads(records, archive, before), _collect_abandoned(blobs)
    )


def _collect_jobs(records: Records, archive: Archive, before: float) -> int:
    removed = 0
    for job_id in records.ended_before(before):
        try:
            job = records.job(job_id)
        except NotFound:  # somebody was faster
            continue
        records.delete_job(job)
        archive.drop_job(job)
        removed += 1
    return removed


def _collect_uploads(records: Records, archive: Archive, before: float) -> int:
    removed = 0
    for kind, upload_id in records.unused_since(before):
        try:
            upload = records.upload(kind, upload_id)
            records.delete_upload(kind, upload, unused_since=before)
        except (NotFound, Conflict):  # removed, or used meanwhile
            continue
        archive.drop_upload(upload)
        removed += 1
    return removed


def _collect_abandoned(blobs: Blobs) -> int:
    """Remove old blobs that no document speaks of; what the index in Redis says does not matter here."""
    entries = list(blobs.entries(""))
    known = {entry.key for entry in entries}
    newest: dict[str, datetime] = {}
    for entry in entries:
        group = _group(entry)
        newest[group] = max(newest.get(group, entry.modified), entry.modified)
    limit = datetime.fromtimestamp(time.time() - ABANDONED_S, UTC)
    abandoned = [
        entry for entry in entries if newest[_group(entry)] < limit and not _documented(entry.key.split("/"), known)
    ]
    for entry in abandoned:
        blobs.delete(entry.key)
    return len(abandoned) + blobs.sweep(limit)


def _group(entry: Entry) -> str:
    """What is abandoned together: everything of a job, all parts of a resumable upload, one blob else."""
    parts = entry.key.split("/")
    return "/".join(parts[:3]) if len(parts) > 3 else entry.key


def _documented(parts: list[str], known: set[str]) -> bool:
    if len(parts) > 3 and parts[1] == "jobs":
        return "/".join([*parts[:3], RECORD]) in known
    if len(parts) == 3 and parts[1] in KINDS:
        return parts[2].endswith(SUFFIX) or "/".join(parts) + SUFFIX in known
    return not (len(parts) > 3 and parts[1] == "uploads")
