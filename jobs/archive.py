"""The records in object storage, beside the blobs that they tell of: from them the index in Redis can be made again.

A job's `record.json` is written before the job is accepted and again after its end; an upload's lies beside its bytes
before it is recorded. What has no such document was never answered with 2xx.
"""

from collections.abc import Iterator

from jobs.blobs import Blobs
from jobs.errors import NotFound
from jobs.job import Job, Upload
from jobs.records import Records
from jobs.redis_keys import Kind

RECORD = "record.json"
SUFFIX = ".json"
KINDS: dict[str, Kind] = {"models": "model", "datasets": "dataset"}


class Archive:
    """The documents of one object store."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def put_job(self, job: Job) -> None:
        self._blobs.put(f"{folder(job)}/{RECORD}", job.model_dump_json().encode())

    def drop_job(self, job: Job) -> None:
        """Remove everything that is stored of a job, the record first: what is left then is nobody's."""
        self._blobs.delete(f"{folder(job)}/{RECORD}")
        for key in self._blobs.keys(folder(job)):
            self._blobs.delete(key)

    def put_upload(self, upload: Upload) -> None:
        self._blobs.put(upload.key + SUFFIX, upload.model_dump_json().encode())

    def drop_upload(self, upload: Upload) -> None:
        """Remove an upload's record, then its bytes."""
        self._blobs.delete(upload.key + SUFFIX)
        self._blobs.delete(upload.key)

    def catch_up(self, records: Records) -> int:
        """Write the records of jobs that have ended; how many there were. Every gateway may do it at any time."""
        ended = records.unarchived()
        for job in ended:
            self.put_job(job)
            records.archived(job.id)
            try:
                records.job(job.id)
            except NotFound:  # deleted while we wrote
                self.drop_job(job)
        return len(ended)

    def uploads(self) -> Iterator[tuple[Kind, Upload]]:
        """Every upload, as it was stored."""
        for parts, key in self._documents():
            if len(parts) == 3 and parts[1] in KINDS and parts[2].endswith(SUFFIX):
                yield KINDS[parts[1]], Upload.model_validate_json(self._blobs.read(key))

    def jobs(self) -> Iterator[Job]:
        """Every job, as it was when its record was last written."""
        for parts, key in self._documents():
            if len(parts) == 4 and parts[1] == "jobs" and parts[3] == RECORD:
                yield Job.model_validate_json(self._blobs.read(key))

    def _documents(self) -> Iterator[tuple[list[str], str]]:
        for key in self._blobs.keys(""):
            yield key.split("/"), key


def folder(job: Job) -> str:
    """Where the object store has what belongs to a job."""
    return f"{job.tenant}/jobs/{job.id}"
