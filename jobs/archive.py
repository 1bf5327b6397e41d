"""Copies of the records in object storage, from which the index in Redis can be restored.

A job's `record.json` is written before the job is accepted and again after its end. An upload's document is written
beside its bytes before the upload is recorded. A batch's document is written after those of its jobs. No request
without such a document was ever answered with 2xx. Every write is entered in the journal.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar

from pydantic_core import from_json

from jobs.batch import BATCH, Batch
from jobs.blobs import Blobs
from jobs.errors import NotFound
from jobs.job import FrozenModel, Job, Upload
from jobs.journal import Change, Journal
from jobs.keys import PREFIX, Key
from jobs.records import Records
from jobs.redis_keys import Kind

RECORD = "record.json"
SUFFIX = ".json"
Record = TypeVar("Record", bound=FrozenModel)
BATCHES = "batches"
"""The folder of a tenant's batches."""
KINDS: dict[str, Kind] = {"models": "model", "datasets": "dataset"}


@dataclass(frozen=True)
class Document:
    """The place of a record in the object store: its key there, the kind of the record, and the record's id."""

    key: str
    kind: Literal["job", "batch", "model", "dataset", "key"]
    id: str

    @property
    def tenant(self) -> str:
        """The tenant whose record it is."""
        return self.key.partition("/")[0]


class Unreadable(ValueError):
    """A document that holds no record, or the record of something else."""


class Archive:
    """The record documents of one object store."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._journal = Journal(blobs)

    def put_job(self, job: Job) -> None:
        """Write the record of a job, over an older version."""
        self._put(_home(job), job, Change.ENDED if job.final else Change.WRITTEN)

    def drop_job(self, job: Job) -> None:
        """Remove everything stored for a job, the record first: blobs that a crash leaves are then orphaned."""
        self._drop(_home(job))
        self.drop_artifacts(job)

    def drop_artifacts(self, job: Job) -> None:
        """Remove every blob of a job that has no record."""
        for key in self._blobs.keys(folder(job)):
            self._blobs.delete(key)

    def put_upload(self, upload: Upload) -> None:
        """Write the record of an upload."""
        self._put(upload.key + SUFFIX, upload, Change.WRITTEN)

    def drop_upload(self, upload: Upload) -> None:
        """Remove an upload's record, then its bytes."""
        self._drop(upload.key + SUFFIX)
        self._blobs.delete(upload.key)

    def put_batch(self, batch: Batch) -> None:
        """Write the record of a batch, over an older version."""
        self._put(_home(batch), batch, Change.ENDED if batch.final else Change.WRITTEN)

    def drop_batch(self, batch: Batch) -> None:
        """Remove the record of a batch."""
        self._drop(_home(batch))

    def catch_up(self, records: Records) -> int:
        """Write the records of jobs and batches that are new or have ended; any gateway may do so.

        Returns:
            The number of jobs.
        """
        changed = records.unarchived()
        for job in changed:
            self.put_job(job)
            records.mark_archived(job)
            if records.presence([("job", job.id)]) == ["gone"]:  # deleted while its record was written
                self.drop_job(job)  # but one that Redis has lost is restored from here
        for batch in records.unarchived_batches():
            self.put_batch(batch)
            records.mark_batch_archived(batch)
            if records.presence([(BATCH, batch.id)]) == ["gone"]:
                self.drop_batch(batch)
        return len(changed)

    def documents(self) -> Iterator[Document]:
        """Yield the place of every record."""
        for key in self._blobs.keys(""):
            if (place := document_at(key)) is not None:
                yield place

    def changes_since(self, time_s: float) -> Iterator[tuple[Document, Change]]:
        """Yield the places of the records that changed after `time_s` (seconds since 1970), with the last change."""
        for key, change in self._journal.since(time_s).items():
            if (place := document_at(key)) is not None:
                yield place, change

    def trim_journal(self) -> None:
        """Remove the old entries of the journal."""
        self._journal.trim()

    def job(self, tenant: str, job_id: str) -> Job | None:
        """Return a job as it was when its record was last written; None if there is no record that can be read."""
        try:
            return self._read(Job, job_place(tenant, job_id).key)
        except (NotFound, Unreadable):
            return None

    def read(self, place: Document) -> Job | Batch | Upload | Key:
        """Return a record.

        Raises:
            NotFound: it was removed.
            Unreadable: the document holds no record, or the record of something else.
        """
        if place.kind == "job":
            return self._read(Job, place.key)
        if place.kind == BATCH:
            return self._read(Batch, place.key)
        return self._read(Key, place.key) if place.kind == "key" else self._read(Upload, place.key)

    def _put(self, key: str, record: FrozenModel, change: Change) -> None:
        """Enter a change in the journal, then write the record."""
        self._journal.note(key, change)
        self._blobs.put(key, record.model_dump_json().encode())

    def _drop(self, key: str) -> None:
        """Enter the removal of a record in the journal, then remove it."""
        self._journal.note(key, Change.REMOVED)
        self._blobs.delete(key)

    def _read(self, model: type[Record], key: str) -> Record:
        data = self._blobs.read(key)
        try:
            from_json(data, allow_inf_nan=False)
            record = model.model_validate_json(data)
        except ValueError as error:
            raise Unreadable(f"{key} holds no record") from error
        if _home(record) != key:
            raise Unreadable(f"{key} holds the record of something else")
        return record


def document_at(key: str) -> Document | None:
    """Return the place of the record that the blob `key` holds; None for any other blob."""
    parts = key.split("/")
    if len(parts) == 4 and parts[1] == "jobs" and parts[3] == RECORD:
        return Document(key, "job", parts[2])
    if len(parts) == 3 and parts[1] == BATCHES and parts[2].endswith(SUFFIX):
        return Document(key, BATCH, parts[2].removesuffix(SUFFIX))
    if len(parts) == 3 and parts[1] in KINDS and parts[2].endswith(SUFFIX):
        return Document(key, KINDS[parts[1]], parts[2].removesuffix(SUFFIX))
    if key.startswith(PREFIX) and key.endswith(SUFFIX) and len(parts) == 2:
        return Document(key, "key", parts[1].removesuffix(SUFFIX))
    return None


def job_place(tenant: str, job_id: str) -> Document:
    """Return the place of a job's record."""
    return Document(f"{tenant}/jobs/{job_id}/{RECORD}", "job", job_id)


def batch_place(tenant: str, batch_id: str) -> Document:
    """Return the place of a batch's record."""
    return Document(f"{tenant}/{BATCHES}/{batch_id}{SUFFIX}", BATCH, batch_id)


def upload_place(tenant: str, kind: Kind, upload_id: str) -> Document:
    """Return the place of an upload's record."""
    return Document(f"{tenant}/{kind}s/{upload_id}{SUFFIX}", kind, upload_id)


def folder(job: Job) -> str:
    """Return the prefix of everything stored for a job."""
    return f"{job.tenant}/jobs/{job.id}"


def _home(record: FrozenModel) -> str:
    """Return the key at which a record belongs."""
    if isinstance(record, Job):
        return f"{folder(record)}/{RECORD}"
    if isinstance(record, Batch):
        return batch_place(record.tenant, record.id).key
    if isinstance(record, Upload):
        place = document_at(record.key + SUFFIX)
        return place.key if place and (place.tenant, place.id) == (record.tenant, record.id) else ""
    return f"{PREFIX}{record.id}{SUFFIX}" if isinstance(record, Key) else ""
