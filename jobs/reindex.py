"""Rebuilding the index in an empty Redis from the object store.

Ended jobs are restored as they were. Other jobs are queued again: they run from the start and produce the same bytes.
The events of ended jobs, idempotency keys and pending webhooks are lost.
"""

from dataclasses import dataclass

from celery import Celery

from jobs.archive import Archive
from jobs.keys import Keys
from jobs.queue import send
from jobs.records import Records


@dataclass(frozen=True)
class Restored:
    """The numbers of keys, uploads and jobs in the object store, and of jobs that were queued again."""

    keys: int
    uploads: int
    jobs: int
    queued: int


def reindex(records: Records, archive: Archive, keys: Keys, queue: Celery) -> Restored:
    """Record everything that is missing from Redis; existing records stay as they are."""
    restored_keys = keys.restore()
    uploads = jobs = queued = 0
    for kind, upload in archive.uploads():
        recorded, _ = records.add_upload(kind, upload)
        if recorded.id != upload.id:  # a crash between two steps stored the same bytes twice
            archive.drop_upload(upload)
        uploads += recorded.id == upload.id
    for job in archive.jobs():
        recorded_job = records.create_job(job, restored=True)
        jobs += 1
        if not recorded_job.final:
            send(queue, job.id)
            queued += 1
    return Restored(restored_keys, uploads, jobs, queued)
