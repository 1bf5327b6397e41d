"""Making the index in an empty Redis again, from what the object store knows.

What had ended is there as it was. What had not is queued again: its work is done anew, and gives the same bytes. Lost
are the events of ended jobs, idempotency keys, and webhooks that were still to be sent.
"""

from dataclasses import dataclass

from celery import Celery

from jobs.archive import Archive
from jobs.keys import Keys
from jobs.queue import send
from jobs.records import Records


@dataclass(frozen=True)
class Restored:
    """How many keys, uploads and jobs the object store has, and how many of the jobs were queued again."""

    keys: int
    uploads: int
    jobs: int
    queued: int


def reindex(records: Records, archive: Archive, keys: Keys, queue: Celery) -> Restored:
    """Record everything that is not recorded; what is, stays as it is."""
    restored = keys.restore()
    uploads = jobs = queued = 0
    for kind, upload in archive.uploads():
        kept, _ = records.add_upload(kind, upload)
        if kept.id != upload.id:  # a crash between two steps left the same bytes twice
            archive.drop_upload(upload)
        uploads += kept.id == upload.id
    for job in archive.jobs():
        kept_job = records.create_job(job, restored=True)
        jobs += 1
        if not kept_job.final:
            send(queue, job.id)
            queued += 1
    return Restored(restored, uploads, jobs, queued)
