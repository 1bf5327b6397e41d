"""Delete expired records and orphaned blobs.

A job or a batch expires some days after its end. A model or dataset expires some days after it was last uploaded or
named in a job, but never while a job that has not ended uses it: the step that removes it checks that.
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
ORPHANED_S = DAY_S
"""A blob without a record is orphaned at this age: a killed process or an abandoned upload left it."""


@dataclass(frozen=True)
class Collected:
    """The numbers of removed jobs and uploads (expired) and blobs (orphaned)."""

    jobs: int
    uploads: int
    blobs: int


def collect(records: Records, blobs: Blobs, days: float) -> Collected:
    """Remove the records that expired after `days`, and orphaned blobs; `inf` keeps all records."""
    archive = Archive(blobs)
    archive.catch_up(records)
    if math.isinf(days):
        return Collected(0, 0, _collect_orphaned(blobs))
    before = time.time() - days * DAY_S
    _collect_batches(records, archive, before)
    return Collected(
        _collect_jobs(records, archive, before), _collect_uploads(records, archive, before), _collect_orphaned(blobs)
    )


def _collect_jobs(records: Records, archive: Archive, before: float) -> int:
    removed = 0
    for job_id in records.ended_before(before):
        try:
            job = records.job(job_id)
        except NotFound:  # another gateway removed it first
            continue
        records.delete_job(job)
        archive.drop_job(job)
        removed += 1
    return removed


def _collect_batches(records: Records, archive: Archive, before: float) -> None:
    for batch_id in records.batches_ended_before(before):
        try:
            batch = records.batch(batch_id)
        except NotFound:  # another gateway removed it first
            continue
        records.delete_batch(batch)
        archive.drop_batch(batch)


def _collect_uploads(records: Records, archive: Archive, before: float) -> int:
    removed = 0
    for kind, upload_id in records.unused_since(before):
        try:
            upload = records.upload(kind, upload_id)
            records.delete_upload(kind, upload, unused_since=before)
        except (NotFound, Conflict):  # removed or used in the meantime
            continue
        archive.drop_upload(upload)
        removed += 1
    return removed


def _collect_orphaned(blobs: Blobs) -> int:
    """Remove old blobs without a record document; Redis is not consulted, because it may be empty."""
    entries = list(blobs.entries(""))
    known = {entry.key for entry in entries}
    newest: dict[str, datetime] = {}
    for entry in entries:
        group = _group(entry)
        newest[group] = max(newest.get(group, entry.modified), entry.modified)
    limit = datetime.fromtimestamp(time.time() - ORPHANED_S, UTC)
    orphaned = [
        entry for entry in entries if newest[_group(entry)] < limit and not _documented(entry.key.split("/"), known)
    ]
    for entry in orphaned:
        blobs.delete(entry.key)
    removed = len(orphaned) + blobs.sweep(limit)
    blobs.sweep_folders()
    return removed


def _group(entry: Entry) -> str:
    """Return the name of what expires together: all of a job, all parts of a resumable upload, or a single blob."""
    parts = entry.key.split("/")
    return "/".join(parts[:3]) if len(parts) > 3 else entry.key


def _documented(parts: list[str], known: set[str]) -> bool:
    """Return True if the blob with this key has a record document, or needs none."""
    if len(parts) > 3 and parts[1] == "jobs":
        return "/".join([*parts[:3], RECORD]) in known
    if len(parts) == 3 and parts[1] in KINDS:
        return parts[2].endswith(SUFFIX) or "/".join(parts) + SUFFIX in known
    return not (len(parts) > 3 and parts[1] == "uploads")
