"""One job from claim to final state: fetch its inputs, run its process, relay its messages, store its artifacts."""

import errno
import functools
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog
from opentelemetry import trace

from jobs.blobs import Blobs
from jobs.errors import WorkerCrashed, WorkerOutOfDisk
from jobs.http_status import problem_of
from jobs.job import Job, JobKind, Progress, Status, Upload
from jobs.records import ATTEMPTS, Records
from jobs.settings import Settings
from jobs.tracing import context_of
from quant.errors import QuantdError
from quant.outcome.stages import Stage
from worker.artifacts import ArtifactFile, collect, collect_plan
from worker.attempts import Attempts
from worker.child import Child, Killed
from worker.children import Children
from worker.fetches import Fetcher
from worker.lease import Cancelled, Lease, Lost
from worker.metrics import CHILD_MEMORY, Stages, count_end
from worker.patience import patiently
from worker.process import Limits, Start
from worker.protocol import Answered, Done, Logged, ProgressLine, Refused
from worker.relay import Relay
from worker.transfer import Transfer

PAUSE_S = 5.0
"""A worker whose disk is full takes no job for this long, so that others take the one that it gave back."""

log = structlog.get_logger()
_tracer = trace.get_tracer("quantd.worker")


class NoRoom(Exception):
    """This worker's disk has no room for the files of a job, and attempts are left: another worker may have room."""


class Runner:
    """Runs jobs, each in a process of `threads` threads, with one record store and one object store.

    `exhausted` is called when too many calls hang (`worker.attempts`), and this process should be replaced.
    """

    def __init__(
        self, settings: Settings, start: Start, threads: int = 1, exhausted: Callable[[], object] = lambda: None
    ) -> None:
        limits = Limits(settings.job_memory_bytes, settings.job_timeout_s, threads, disk=settings.job_disk_bytes)
        self._timeouts_s = {"job": settings.job_timeout_s, "plan": settings.plan_timeout_s}
        self._children = Children(start, limits)
        self._attempts = Attempts(exhausted)
        self._records = Records(settings.redis_url, settings.lease_s)
        blobs = Blobs(settings.store_url)
        self._transfer = Transfer(self._records, blobs)
        self._fetcher = Fetcher(settings, self._records, blobs)

    @property
    def isolation(self) -> tuple[str, ...]:
        """Return the parts of the sandbox that work on this machine."""
        return self._children.isolation

    def run_next(self, kind: JobKind, sent: str | None = None) -> Job | None:
        """Run the job, plan or fetch whose turn it is, if one waits, and return it as it was when its turn came.

        `sent` is the one of which a message came.
        """
        owner = secrets.token_hex(16)
        first = job = self._records.claim_next(kind, owner, sent)
        while job is not None and not self._attempt(job, owner):
            job = patiently(functools.partial(self._records.claim, job.id, owner, retry=True))
        return first

    def run_next_fetch(self) -> list[str]:
        """Run the fetch whose turn it is, if one waits; return the ids of the jobs that waited for it."""
        fetch = self.run_next("fetch")
        return [] if fetch is None else [job.id for job in self._records.jobs_awaiting(fetch.id)]

    def new_plan(self, wait_s: float) -> str | None:
        """Return the id of a plan that was created, or None if none comes within `wait_s` seconds."""
        return self._records.new_plan(wait_s)

    def claim_stale(self) -> list[str]:
        """Return the ids of jobs whose message must be sent again."""
        return self._records.claim_stale()

    def close(self) -> None:
        """Remove the folders of all jobs."""
        self._children.close()

    def _attempt(self, job: Job, owner: str) -> bool:
        """Run the job and record its final state; return False if its process was killed and it must be tried again."""
        bound = log.bind(job=job.id, tenant=job.tenant, attempt=job.attempt, request=job.request_id)
        bound.info("job started")
        try:
            with _tracer.start_as_current_span("job", context_of(job.traceparent), attributes={"job": job.id}):
                status, fields = self._outcome(job, owner)
        except Lost:
            bound.warning("job lost to another worker")
            return True
        except Killed:
            bound.warning("job's process was killed; trying again")
            return False
        except NoRoom:
            bound.warning("this worker's disk is full; the job is given back")
            patiently(lambda: self._records.release(job.id, owner))
            time.sleep(PAUSE_S)
            return True
        if patiently(lambda: self._records.finish(job.id, owner, status, fields)):
            bound.info("job ended", status=status, error=fields.get("error"))
            count_end(status, fields.get("error"))
        return True

    def _outcome(self, job: Job, owner: str) -> tuple[Status, dict[str, Any]]:
        """Return the final state of the job and the fields to record with it.

        Raises:
            Killed: the process was killed, and attempts are left.
            Lost: another worker has the job.
            NoRoom: the disk is full, and attempts are left.
        """
        try:
            if job.attempt > ATTEMPTS:
                raise WorkerCrashed(
                    f"the job's process or its worker was killed {ATTEMPTS} times; the job is not tried again"
                )
            with Lease(self._records, job.id, owner) as lease:
                return self._attempts.run(functools.partial(self._run, job, owner, lease), lease)
        except Cancelled:
            return Status.CANCELLED, {}
        except QuantdError as error:
            if isinstance(error, Killed) and job.attempt < ATTEMPTS:
                raise
            return _failed(error)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            if job.attempt < ATTEMPTS:
                raise NoRoom from None
            detail = f"the disks of workers had no room for the job's files in {ATTEMPTS} attempts; try again later"
            return _failed(WorkerOutOfDisk(detail))

    def _run(self, job: Job, owner: str, lease: Lease) -> tuple[Status, dict[str, Any]]:
        """Run the job in its own process; return its final state and the fields to record with it."""
        if job.kind == "fetch":
            self._fetcher.run(job, lease)
            return Status.SUCCEEDED, {}
        with self._children.new(self._timeouts_s[job.kind]) as child, Stages() as stages:
            stages.enter(Stage.LOADING)
            inputs = self._transfer.fetch(job, child.folder, lease)
            _begin(child, job, inputs)
            end = _follow(child, Relay(self._records, job.id, owner), lease, stages, job.id)
            CHILD_MEMORY.observe(child.peak_memory)
            child.kill()  # from here on nothing changes the files
            if isinstance(end, Refused):
                return Status.FAILED, {"error": end.problem.model_dump()}
            stages.enter(Stage.STORING)
            files = self._collect(job, child.space / "out", end, inputs)
            artifacts = [artifact.model_dump() for artifact in self._transfer.store(job, files, lease)]
        progress = Progress(fraction=1.0, done=len(artifacts), total=len(artifacts), message="").model_dump()
        fields = {**end.model_dump(exclude={"event"}), "progress": progress, "artifacts": artifacts}
        if isinstance(end, Done) and end.summary.ended_early:
            fields["work"] = ""  # an equal job runs again: with more time it may get further
        return Status.SUCCEEDED, fields

    def _collect(
        self, job: Job, folder: Path, end: Done | Answered, inputs: Mapping[str, Upload]
    ) -> list[ArtifactFile]:
        """Return the validated artifacts of a job or a plan.

        Raises:
            WorkerCrashed: an artifact is not valid, or the last message is not that of this kind of job.
        """
        if job.kind == "plan" and isinstance(end, Answered):
            return collect_plan(folder)
        if job.kind == "job" and isinstance(end, Done):
            return collect(folder, {role: upload.sha256 for role, upload in inputs.items()}, self.isolation)
        raise WorkerCrashed(f"the process of a {job.kind} ended with the message {end.event!r}")


def _begin(child: Child, job: Job, inputs: dict[str, Upload]) -> None:
    """Send the job to its process: a file for each role, the model's name for the report, and the baseline."""
    name = inputs["model"].filename or job.model
    task: dict[str, Any] = {"task": "plan"} if job.kind == "plan" else {}
    if job.baseline is not None:
        task["baseline"] = job.baseline.model_dump(mode="json")
    child.begin({"name": name, "spec": job.spec, "out": "out", **task, **{role: role for role in inputs}})


def _follow(child: Child, relay: Relay, lease: Lease, stages: Stages, job_id: str) -> Done | Answered | Refused:
    """Relay the messages of the process, and return its last one.

    Raises:
        WorkerFailure: the process ended without a last message.
        Cancelled, Lost: the job must stop.
    """
    for line in child:
        lease.check()
        if isinstance(line, Done | Answered | Refused):
            return line
        if isinstance(line, ProgressLine):
            stages.enter(line.stage)
            relay.progress(line)
        if isinstance(line, Logged):
            relay.log(line)
    failure = child.failure()
    log.error("child ended", job=job_id, detail=failure.detail, stderr=child.stderr().decode(errors="replace"))
    raise failure


def _failed(error: QuantdError) -> tuple[Status, dict[str, Any]]:
    return Status.FAILED, {"error": problem_of(error).model_dump()}
