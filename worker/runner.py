"""One job from claim to final state: fetch, run the child, relay its progress, store what it made."""

import contextlib
import errno
import functools
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import redis
import structlog
from obstore.exceptions import BaseError as StoreError
from opentelemetry import trace

from jobs.blobs import Blobs
from jobs.errors import DigestMismatch, Unavailable, WorkerCrashed, WorkerOutOfDisk
from jobs.http_status import problem_of
from jobs.job import Artifact, Job, Progress, Status, Upload
from jobs.records import ATTEMPTS, Records
from jobs.redis_keys import Kind
from jobs.settings import Settings
from jobs.tracing import context_of
from quant.errors import QuantdError
from quant.outcome.stages import Stage
from worker.artifacts import ArtifactFile, collect
from worker.child import Child, Killed
from worker.children import Children
from worker.lease import Cancelled, Lease, Lost
from worker.metrics import CHILD_MEMORY, Stages, count_end
from worker.process import Limits, Start
from worker.protocol import Done, Logged, ProgressLine, Refused

Result = TypeVar("Result")
log = structlog.get_logger()
_tracer = trace.get_tracer("quantd.worker")

PROGRESS_EVERY_S = 0.2
LOG_LINES, LOG_CHARACTERS = 200, 1000
"""How many of a job's log lines are kept at most, and how much of each."""
PATIENCE_S = 120.0
"""For so long a job waits for a record store or an object store that is away."""


class Runner:
    """Runs jobs, each in a process of `threads` threads, against one set of records and one object store."""

    def __init__(self, settings: Settings, start: Start, threads: int = 1) -> None:
        memory = settings.job_memory_bytes
        limits = Limits(memory, settings.job_timeout_s, threads, disk=memory)
        self._children = Children(start, limits)
        self._records, self._blobs = Records(settings.redis_url, settings.lease_s), Blobs(settings.store_url)

    def run(self, job_id: str) -> None:
        """Run the job if it is to be run; a message that comes twice, or too late, does nothing."""
        owner = secrets.token_hex(16)
        job = self._records.claim(job_id, owner)
        while job is not None and not self._attempted(job, owner):
            job = _patiently(functools.partial(self._records.claim, job_id, owner, retry=True))

    def _attempted(self, job: Job, owner: str) -> bool:
        """Do the job, or whatever ends it; False where its process was killed and it is to be tried again."""
        bound = log.bind(job=job.id, tenant=job.tenant, attempt=job.attempt, request=job.request_id)
        bound.info("job started")
        try:
            with _tracer.start_as_current_span("job", context_of(job.traceparent), attributes={"job": job.id}):
                status, fields = self._outcome(job, owner)
        except Lost:
            bound.warning("job lost to another worker")
            return True
        except Killed:
            bound.warning("job's process killed; it is tried again")
            return False
        if _patiently(lambda: self._records.finish(job.id, owner, status, fields)):
            bound.info("job ended", status=status, error=fields.get("error"))
            count_end(status, fields.get("error"))
        return True

    @property
    def isolation(self) -> tuple[str, ...]:
        """What a job's process is kept from on this machine, by name."""
        return self._children.isolation

    def close(self) -> None:
        self._children.close()

    def claim_stale(self) -> list[str]:
        return self._records.claim_stale()

    def _outcome(self, job: Job, owner: str) -> tuple[Status, dict[str, Any]]:
        try:
            if job.attempt > ATTEMPTS:
                raise WorkerCrashed(f"the job ended its worker {ATTEMPTS} times; it is not tried again")
            with Lease(self._records, job.id, owner) as lease:
                return self._run(job, owner, lease)
        except Cancelled:
            return Status.CANCELLED, {}
        except QuantdError as error:
            if isinstance(error, Killed) and job.attempt < ATTEMPTS:
                raise
            return Status.FAILED, {"error": problem_of(error).model_dump()}
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            full = WorkerOutOfDisk("the worker's disk has no room for the job's files; try again later")
            return Status.FAILED, {"error": problem_of(full).model_dump()}

    def _run(self, job: Job, owner: str, lease: Lease) -> tuple[Status, dict[str, Any]]:
        with self._children.new() as child, Stages() as stages:
            stages.enter(Stage.LOADING)
            inputs = self._fetch(job, child.folder, lease)
            name = inputs["model"].filename or job.model
            child.begin({"name": name, "spec": job.spec, "out": "out", **{role: role for role in inputs}})
            end = self._watch(job, owner, child, lease, stages)
            CHILD_MEMORY.observe(child.peak_memory)
            child.kill()  # what is looked at from here on changes no more
            if isinstance(end, Refused):
                return Status.FAILED, {"error": end.problem.model_dump()}
            stages.enter(Stage.STORING)
            digests = {role: upload.sha256 for role, upload in inputs.items()}
            artifacts = self._store(job, collect(child.folder / "out", digests, self.isolation), lease)
        progress = Progress(fraction=1.0, done=len(artifacts), total=len(artifacts), message="").model_dump()
        return Status.SUCCEEDED, {**end.model_dump(exclude={"event"}), "progress": progress, "artifacts": artifacts}

    def _fetch(self, job: Job, folder: Path, lease: Lease) -> dict[str, Upload]:
        """Put the job's inputs into its folder, each in a file that is called by its role."""
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

    def _copy(self, kind: Kind, upload_id: str, path: Path, lease: Lease) -> Upload:
        upload = _patiently(lambda: self._records.upload(kind, upload_id), lease)
        if _patiently(lambda: self._blobs.fetch(upload.key, path, lease.check), lease) != upload.sha256:
            raise DigestMismatch(f"{upload.id!r} is no longer what was uploaded; upload it again")
        return upload

    def _watch(self, job: Job, owner: str, child: Child, lease: Lease, stages: Stages) -> Done | Refused:
        """Relay the child's progress and log until its last line, which is returned."""
        told, logged = 0.0, 0
        stage: Stage | None = None
        for line in child:
            lease.check()
            if isinstance(line, Done | Refused):
                return line
            if isinstance(line, ProgressLine):
                stages.enter(line.stage)
            if isinstance(line, ProgressLine) and (line.stage != stage or time.monotonic() - told > PROGRESS_EVERY_S):
                stage, told = line.stage, time.monotonic()
                self._relay(job, owner, line)
            if isinstance(line, Logged):
                logged += 1
                self._relay_log(job, owner, line, logged)
        failure = child.failure()
        log.error("child ended", job=job.id, detail=failure.detail, stderr=child.stderr().decode(errors="replace"))
        raise failure

    def _relay(self, job: Job, owner: str, line: ProgressLine) -> None:
        with contextlib.suppress(redis.RedisError):  # as a lease that is not renewed: the job goes on
            self._records.progress(job.id, owner, line.stage, line.progress)

    def _relay_log(self, job: Job, owner: str, line: Logged, number: int) -> None:
        if number > LOG_LINES:
            return
        message = line.message[:LOG_CHARACTERS] if number < LOG_LINES else "there is more; it is not kept"
        with contextlib.suppress(redis.RedisError):
            self._records.log(job.id, owner, line.level, message)

    def _store(self, job: Job, files: list[ArtifactFile], lease: Lease) -> list[dict[str, Any]]:
        """Store each file under its own digest."""
        artifacts = []
        for made in files:
            lease.check()
            key = f"{job.tenant}/jobs/{job.id}/{made.sha256}/{made.name}"
            _patiently(functools.partial(self._blobs.write_file, key, made.path), lease)
            artifact = Artifact(name=made.name, size=made.size, sha256=made.sha256, media_type=made.media_type, key=key)
            artifacts.append(artifact.model_dump())
        return artifacts


def _patiently(call: Callable[[], Result], lease: Lease | None = None) -> Result:
    """What `call` gives, as soon as the record store and the object store are there.

    Raises:
        Unavailable: one of them stayed away.
        Cancelled, Lost: the job is to stop.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return call()
        except (redis.ConnectionError, redis.TimeoutError, StoreError) as error:
            log.warning("a part is away", error=str(error))
        if time.monotonic() > deadline:
            raise Unavailable("the record store or the object store stayed away; submit the job again")
        if lease is not None:
            lease.check()
        time.sleep(1)
