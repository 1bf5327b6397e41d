"""Restoring the index in Redis from the documents in the object store: all of it, or what was lost lately.

Ended jobs are restored as they were. Other jobs are queued again: they run from the start and produce the same bytes.
Nothing that Redis knows is replaced by something older, and nothing that a document names is removed. The events of
ended jobs are lost, and so are webhooks that were pending for more than ten minutes.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from itertools import islice

import redis
import structlog
from celery import Celery
from kombu.exceptions import OperationalError

from jobs.archive import Archive, Document, job_place, upload_place
from jobs.batch import BATCH, Batch
from jobs.connection import is_unavailable
from jobs.errors import Conflict, NotFound
from jobs.job import Job, Upload
from jobs.journal import Change
from jobs.keys import Key, Keys
from jobs.queue import send
from jobs.records import Records
from jobs.records.presence import Presence
from jobs.redis_keys import Kind

CHUNK = 200
"""The number of documents that are compared with Redis in one round trip."""
THREADS = 8
"""The number of records that are restored at the same time: Redis then syncs several of them to its disk at once."""

log = structlog.get_logger()


@dataclass
class Restored:
    """The numbers of keys, uploads, jobs and batches that Redis had lost, and of those jobs that were queued again.

    `removed` counts records whose deletion was lost, `unreadable` documents that hold no record: they stay, and the log
    names them.
    """

    keys: int = 0
    uploads: int = 0
    jobs: int = 0
    queued: int = 0
    removed: int = 0
    unreadable: int = 0
    batches: int = 0

    def __add__(self, other: "Restored") -> "Restored":
        """Return the sum of both, number by number."""
        return Restored(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class Restorer:
    """The way from the documents of one object store to the records in Redis. Any number may run at the same time."""

    records: Records
    archive: Archive
    keys: Keys
    queue: Celery

    def restore_all(self, alive: Callable[[], None] = lambda: None) -> Restored:
        """Restore everything that is missing from Redis; `alive` is called now and then, and may raise to stop."""
        return self._restore(((place, Change.ENDED) for place in self.archive.documents()), alive)

    def restore_since(self, time_s: float, alive: Callable[[], None] = lambda: None) -> Restored:
        """Restore what changed in the object store after `time_s` (seconds since 1970) and is missing from Redis."""
        return self._restore(self.archive.changes_since(time_s), alive)

    def restore_one(self, place: Document) -> bool:
        """Restore a record that Redis does not know; return False if there is none, or it was deleted."""
        restored = self._compare(place, "lost")
        return restored.uploads + restored.jobs > 0

    def _restore(self, changes: Iterable[tuple[Document, Change]], alive: Callable[[], None]) -> Restored:
        restored, rest = Restored(), iter(changes)
        with ThreadPoolExecutor(THREADS, thread_name_prefix="restore") as threads:
            while chunk := list(islice(rest, CHUNK)):
                alive()
                compared = threads.map(lambda suspect: self._compare(*suspect), self._suspects(chunk))
                restored = sum(compared, restored)
        return restored

    def _suspects(self, changes: Iterable[tuple[Document, Change]]) -> Iterator[tuple[Document, Presence]]:
        """Yield the documents of which Redis may know less than the object store, with what it knows."""
        compared = [(place, change) for place, change in changes if place.kind != "key"]
        yield from ((place, "lost") for place, _ in changes if place.kind == "key")
        names = [(place.kind, place.id) for place, _ in compared if place.kind != "key"]
        for (place, change), presence in zip(compared, self.records.presence(names), strict=True):
            if _may_be_older(presence, change):
                yield place, presence

    def _compare(self, place: Document, presence: Presence) -> Restored:
        """Make Redis know what a document says, and count what it did not know."""
        restored = Restored()
        try:
            self._record(self.archive.read(place), restored)
        except NotFound:
            restored.removed += presence != "lost" and self._remove(place)
        except (ValueError, redis.ResponseError) as error:
            if isinstance(error, redis.ResponseError) and is_unavailable(error):
                raise
            restored.unreadable += 1
            log.error("document left out", key=place.key, error=str(error), cause=str(error.__cause__))
        return restored

    def _record(self, record: Job | Batch | Upload | Key, restored: Restored) -> None:
        """Record what a document holds, and count it if Redis did not know it."""
        if isinstance(record, Key):
            changed = self.keys.restore(record)
            restored.keys += changed
        elif isinstance(record, Upload):
            changed = self.records.restore_upload("model" if "/models/" in record.key else "dataset", record)
            restored.uploads += changed
        elif isinstance(record, Batch):
            changed = self._record_batch(record, restored)
            restored.batches += changed
        else:
            changed = self._record_job(record, restored)
            restored.jobs += changed
        if changed:
            log.info("record restored", kind=type(record).__name__.lower(), id=record.id, tenant=record.tenant)

    def _record_job(self, job: Job, restored: Restored) -> bool:
        """Record a job, after its inputs, and queue it unless it has ended; return False if Redis knew it."""
        if not job.final and job.kind != "fetch":
            inputs: list[tuple[Kind, str | None]] = [
                ("model", job.model), ("dataset", job.calibration), ("dataset", job.evaluation)
            ]  # fmt: skip
            named = [(kind, name) for kind, name in inputs if name is not None]
            for (kind, name), presence in zip(named, self.records.presence(named), strict=True):
                if presence == "lost" and self.restore_one(upload_place(job.tenant, kind, name)):
                    restored.uploads += 1
                elif presence == "lost":
                    self.restore_one(job_place(job.tenant, name))  # its fetch, which has not ended
        changed = self.records.restore_job(job)
        if changed and not job.final:
            restored.queued += 1
            try:
                send(self.queue, job.id)
            except OperationalError as error:  # a worker finds the job without the message
                log.warning("the queue is unavailable", job=job.id, error=str(error))
        return changed

    def _record_batch(self, batch: Batch, restored: Restored) -> bool:
        """Record a batch, after its jobs, of which some may have been deleted; return False if Redis knew it."""
        presence = self.records.presence([("job", job_id) for job_id in batch.jobs])
        for job_id, known in zip(batch.jobs, presence, strict=True):
            if known == "lost":
                compared = self._compare(job_place(batch.tenant, job_id), known)
                restored.uploads += compared.uploads
                restored.jobs += compared.jobs
                restored.queued += compared.queued
        return self.records.restore_batch(batch)

    def _remove(self, place: Document) -> bool:
        """Remove a record whose document was removed; return False if it is still in use."""
        try:
            if place.kind == "job":
                job = self.records.job(place.id)
                self.records.cancel(job)
                self.records.delete_job(job)
            elif place.kind == BATCH:
                self.records.delete_batch(self.records.batch(place.id))
            elif place.kind != "key":
                self.records.delete_upload(place.kind, self.records.upload(place.kind, place.id))
        except (Conflict, NotFound):
            return False
        return True


def _may_be_older(presence: Presence, change: Change) -> bool:
    """Return True if Redis may know less of a record than the last change of its document says."""
    if presence in ("lost", "gone"):
        return presence == "lost"
    return change != Change.WRITTEN if presence == "open" else change == Change.REMOVED
