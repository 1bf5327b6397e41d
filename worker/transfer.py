"""Copying a job's inputs from the object store to its folder, and its artifacts back."""

import functools
from pathlib import Path

from jobs.archive import Archive
from jobs.blobs import Blobs
from jobs.errors import DigestMismatch, NotFound, RemoteFailed
from jobs.job import Artifact, Job, Upload
from jobs.records import Records
from jobs.redis_keys import Kind
from worker.artifacts import ArtifactFile
from worker.lease import Lease, Lost
from worker.patience import patiently


class Transfer:
    """Copies between one object store and the folders of jobs."""

    def __init__(self, records: Records, blobs: Blobs) -> None:
        self._records, self._blobs, self._archive = records, blobs, Archive(blobs)

    def fetch(self, job: Job, folder: Path, lease: Lease) -> dict[str, Upload]:
        """Copy the job's inputs to `folder`, each to a file named after its role, and return their records by role.

        Raises:
            DigestMismatch: the stored bytes changed since they were uploaded.
            NotFound: an input does not exist.
            RemoteFailed: the fetch of an input failed.
            Lost: the job has ended by its document.
        """
        self._check_not_ended(job, lease)
        roles: dict[str, tuple[Kind, str | None]] = {
            "model": ("model", job.model),
            "calibration": ("dataset", job.calibration),
            "evaluation": ("dataset", job.evaluation),
        }
        return {
            role: self._copy(kind, upload_id, folder / role, lease)
            for role, (kind, upload_id) in roles.items()
            if upload_id is not None
        }

    def _check_not_ended(self, job: Job, lease: Lease) -> None:
        """End a job whose end Redis has lost in a fail-over, so that it does not run to a second end."""
        document = patiently(lambda: self._archive.job(job.tenant, job.id), lease)
        if document is not None and document.final:
            self._records.restore_job(document)
            raise Lost

    def _copy(self, kind: Kind, upload_id: str, path: Path, lease: Lease) -> Upload:
        upload = patiently(lambda: self._upload(kind, upload_id), lease)
        if patiently(lambda: self._blobs.fetch(upload.key, path, lease.check), lease) != upload.sha256:
            raise DigestMismatch(f"the stored bytes of {upload.id!r} changed since their upload; upload them again")
        return upload

    def _upload(self, kind: Kind, upload_id: str) -> Upload:
        """Return the record of an input.

        Raises:
            NotFound: there is none.
            RemoteFailed: its fetch has failed.
        """
        try:
            return self._records.upload(kind, upload_id)
        except NotFound:
            if (problem := self._records.fetch_problem(upload_id)) is not None:
                raise RemoteFailed(f"the {kind} {upload_id!r} was not fetched: {problem.detail}") from None
            raise

    def store(self, job: Job, files: list[ArtifactFile], lease: Lease) -> list[Artifact]:
        """Store each file under its own digest: attempts of the same job never overwrite each other's artifacts."""
        return [self._store_file(job, file, lease) for file in files]

    def _store_file(self, job: Job, file: ArtifactFile, lease: Lease) -> Artifact:
        lease.check()
        key = f"{job.tenant}/jobs/{job.id}/{file.sha256}/{file.name}"
        patiently(functools.partial(self._blobs.write_file, key, file.path, lease.check), lease)
        return Artifact(name=file.name, size=file.size, sha256=file.sha256, media_type=file.media_type, key=key)
