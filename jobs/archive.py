"""Copies of the records in object storage, from which the index in Redis can be rebuilt.

A job's `record.json` is written before the job is accepted and again after its end. An upload's document is written
beside its bytes before the upload is recorded. No request without such a document was ever answered with 2xx.
"""

from collections.abc import Iterator
from typing import TypeVar

from jobs.blobs import Blobs
from jobs.errors import NotFound
from jobs.job import FrozenModel, Job, Upload
from jobs.records import Records
from jobs.redis_keys import Kind

RECORD = "record.json"
SUFFIX = ".json"
Record = TypeVar("Record", bound=FrozenModel)
KINDS: dict[str, Kind] = {"models": "model", "datasets": "dataset"}


class Archive:
    """The record documents of one object store."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def put_job(self, job: Job) -> None:
        """Write the record of a job, over an older version."""
        self._blobs.put(f"{folder(job)}/{RECORD}", job.model_dump_json().encode())

    def drop_job(self, job: Job) -> None:
        """Remove everything stored for a job, the record first: blobs that a crash leaves are then orphaned."""
        self._blobs.delete(f"{folder(job)}/{RECORD}")
        for key in self._blobs.keys(folder(job)):
            self._blobs.delete(key)

    def put_upload(self, upload: Upload) -> None:
        """Write the record of an upload."""
        self._blobs.put(upload.key + SUFFIX, upload.model_dump_json().encode())

    def drop_upload(self, upload: Upload) -> None:
        """Remove an upload's record, then its bytes."""
        self._blobs.delete(upload.key + SUFFIX)
        self._blobs.delete(upload.key)

    def catch_up(self, records: Records) -> int:
        """Write the records of jobs that ended since, and return their number. Any gateway may call it at any time."""
        ended = records.unarchived()
        for job in ended:
            self.put_job(job)
            records.mark_archived(job.id)
            try:
                records.job(job.id)
            except NotFound:  # deleted while its record was written
                self.drop_job(job)
        return len(ended)

    def uploads(self, unreadable: list[str]) -> Iterator[tuple[Kind, Upload]]:
        """Yield every upload, as it was stored; the keys of documents that hold none are added to `unreadable`."""
        for parts, key in self._documents():
            if len(parts) == 3 and parts[1] in KINDS and parts[2].endswith(SUFFIX):
                upload = self._record(Upload, key, unreadable)
                if upload is not None:
                    yield KINDS[parts[1]], upload

    def jobs(self, unreadable: list[str]) -> Iterator[Job]:
        """Yield every job, as it was when its record was last written; unreadable ones as `uploads` does."""
        for parts, key in self._documents():
            if len(parts) == 4 and parts[1] == "jobs" and parts[3] == RECORD:
                job = self._record(Job, key, unreadable)
                if job is not None:
                    yield job

    def _record(self, kind: type[Record], key: str, unreadable: list[str]) -> Record | None:
        try:
            return kind.model_validate_json(self._blobs.read(key))
        except ValueError:
            unreadable.append(key)
            return None

    def _documents(self) -> Iterator[tuple[list[str], str]]:
        for key in self._blobs.keys(""):
            yield key.split("/"), key


def folder(job: Job) -> str:
    """Return the prefix of everything stored for a job."""
    return f"{job.tenant}/jobs/{job.id}"
