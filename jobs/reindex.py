"""Rebuilding the index in an empty Redis from the object store.

Ended jobs are restored as they were. Other jobs are queued again: they run from the start and produce the same bytes.
The events of ended jobs, idempotency keys and pending webhooks are lost.
"""

from dataclasses import dataclass

import structlog
from celery import Celery

from jobs.archive import Archive
from jobs.keys import Keys
from jobs.queue import send
from jobs.records import Records

log = structlog.get_logger()


@dataclass(frozen=True)
class Restored:
    """The numbers of keys, uploads and jobs in the object store, and of jobs that were queued again.

    `unreadable` counts documents that hold no record: they stay, and the log names them.
    """

    keys: int
    uploads: int
    jobs: int
    queued: int
    unreadable: int = 0


def reindex(records: Records, archive: Archive, keys: Keys, queue: Celery) -> Restored:
    """Record everything that is missing from Redis; existing records stay as they are.

    Bytes that are stored twice, since a crash came between two steps or they were sent again while Redis was empty, are
    dropped once, but never those that a job names.
    """
    restored_keys = keys.restore()
    unreadable: list[str] = []
    restored_jobs = list(archive.jobs(unreadable))
    named = {name for job in restored_jobs for name in (job.model, job.calibration, job.evaluation)}
    uploads = queued = 0
    for kind, upload in archive.uploads(unreadable):
        recorded, _ = records.add_upload(kind, upload, named=upload.id in named)
        if recorded.id != upload.id:
            archive.drop_upload(upload)
        uploads += recorded.id == upload.id
    for job in restored_jobs:
        if not records.create_job(job, restored=True).final:
            send(queue, job.id)
            queued += 1
    for key in unreadable:
        log.error("document left out: it holds no record", key=key)
    return Restored(restored_keys, uploads, len(restored_jobs), queued, len(unreadable))
