"""One job from claim to final state: fetch, run the child, relay its progress, store what it made."""

import contextlib
import hashlib
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Any

import redis
import structlog

from jobs.blobs import Blobs
from jobs.errors import DigestMismatch, WorkerCrashed
from jobs.job import Artifact, Job, Progress, Stage, Status, Upload
from jobs.problem import problem_of
from jobs.records import ATTEMPTS, Records
from jobs.settings import Settings
from quant.errors import QuantdError
from worker.child import Child, Limits
from worker.lease import Cancelled, Lease, Lost
from worker.protocol import Done, Refused, Told
from worker.warm import Warm

log = structlog.get_logger()

ARTIFACTS = {
    "model.onnx": "application/octet-stream",
    "report.json": "application/json",
    "report.html": "text/html; charset=utf-8",
    "gates.junit.xml": "application/xml",
    "manifest.json": "application/json",
}
"""What a job makes: nothing else that lies in its folder is ever published."""
PROGRESS_EVERY_S = 0.2
QUANT = (sys.executable, "-P", "-m", "quant")


class Runner:
    """Runs jobs, up to `concurrency` at a time, against one set of records and one object store."""

    def __init__(self, settings: Settings, command: tuple[str, ...] = QUANT, concurrency: int = 1) -> None:
        threads = max(len(os.sched_getaffinity(0)) // concurrency, 1)
        memory = settings.job_memory_bytes
        self._children = Warm(command, Limits(memory, settings.job_timeout_s, threads, disk=memory))
        self._records, self._blobs = Records(settings.redis_url), Blobs(settings.store_url)

    def run(self, job_id: str) -> None:
        """Run the job if it is to be run; a message that comes twice, or too late, does nothing."""
        owner = secrets.token_hex(16)
        job = self._records.claim(job_id, owner)
        if job is None:
            return
        bound = log.bind(job=job.id, tenant=job.tenant, attempt=job.attempt)
        bound.info("job started")
        try:
            status, fields = self._outcome(job, owner)
        except Lost:
            bound.warning("job lost to another worker")
            return
        if self._records.finish(job.id, owner, status, fields):
            bound.info("job ended", status=status, error=fields.get("error"))

    def close(self) -> None:
        self._children.close()

    def requeue_stale(self) -> list[str]:
        return self._records.requeue_stale()

    def _outcome(self, job: Job, owner: str) -> tuple[Status, dict[str, Any]]:
        try:
            if job.attempt > ATTEMPTS:
                raise WorkerCrashed(f"the job ended its worker {ATTEMPTS} times; it is not tried again")
            with Lease(self._records, job.id, owner) as lease:
                return self._run(job, owner, lease)
        except Cancelled:
            return Status.CANCELLED, {}
        except QuantdError as error:
            return Status.FAILED, {"error": problem_of(error).model_dump()}

    def _run(self, job: Job, owner: str, lease: Lease) -> tuple[Status, dict[str, Any]]:
        with self._children.take() as child:
            child.begin(self._fetch(job, child.folder, lease))
            end = self._watch(job, owner, child, lease)
            child.kill()  # what is looked at from here on changes no more
            if isinstance(end, Refused):
                return Status.FAILED, {"error": end.problem.model_dump()}
            artifacts = self._store(job, child.folder / "out", lease)
        progress = Progress(fraction=1.0, done=len(artifacts), total=len(artifacts), message="").model_dump()
        return Status.SUCCEEDED, {**end.model_dump(exclude={"event"}), "progress": progress, "artifacts": artifacts}

    def _fetch(self, job: Job, folder: Path, lease: Lease) -> dict[str, Any]:
        """Put the job's inputs into its folder; what its process is told of them."""
        model = self._records.upload("model", job.model)
        self._copy(model, folder / "model", lease)
        told = {"model": "model", "name": model.filename or model.id, "spec": job.spec, "out": "out"}
        for role, upload_id in (("calibration", job.calibration), ("evaluation", job.evaluation)):
            if upload_id is not None:
                self._copy(self._records.upload("dataset", upload_id), folder / role, lease)
                told[role] = role
        return told

    def _copy(self, upload: Upload, path: Path, lease: Lease) -> None:
        if self._blobs.fetch(upload.key, path, lease.check) != upload.sha256:
            raise DigestMismatch(f"{upload.id!r} is no longer what was uploaded; upload it again")

    def _watch(self, job: Job, owner: str, child: Child, lease: Lease) -> Done | Refused:
        """Relay the child's progress until its last line, which is returned."""
        told = 0.0
        stage: Stage | None = None
        for line in child:
            lease.check()
            if isinstance(line, Done | Refused):
                return line
            if isinstance(line, Told) and (line.stage != stage or time.monotonic() - told > PROGRESS_EVERY_S):
                stage, told = line.stage, time.monotonic()
                self._relay(job, owner, line)
        failure = child.failure()
        log.error("child ended", job=job.id, detail=failure.detail, stderr=child.stderr().decode(errors="replace"))
        raise failure

    def _relay(self, job: Job, owner: str, line: Told) -> None:
        with contextlib.suppress(redis.RedisError):  # as a lease that is not renewed: the job goes on
            self._records.progress(job.id, owner, line.stage, line.progress)

    def _store(self, job: Job, folder: Path, lease: Lease) -> list[dict[str, Any]]:
        """Store each artifact under its own digest."""
        artifacts = []
        for name, media_type in ARTIFACTS.items():
            lease.check()
            path = folder / name
            if not path.is_file() or path.is_symlink():
                raise WorkerCrashed(f"the job ended without {name}")
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            key = f"{job.tenant}/jobs/{job.id}/{digest}/{name}"
            self._blobs.write_file(key, path)
            artifact = Artifact(name=name, size=path.stat().st_size, sha256=digest, media_type=media_type, key=key)
            artifacts.append(artifact.model_dump())
        return artifacts
