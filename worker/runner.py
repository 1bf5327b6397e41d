"""One job from claim to final state: fetch, run the child, relay its progress, store what it made."""

import hashlib
import json
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import structlog

from jobs.blobs import Blobs
from jobs.errors import DigestMismatch, WorkerCrashed
from jobs.job import Artifact, FieldProblem, Job, Problem, Status, Upload
from jobs.problem import make_problem, problem_of
from jobs.records import ATTEMPTS, LEASE_S, Records
from jobs.settings import Settings
from quant.errors import QuantdError
from worker.child import Child

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


class Lost(Exception):
    """The job is another worker's by now, or has ended: what was done here does not count."""


class Cancelled(Exception):
    """The caller asked for the job to stop."""


class Runner:
    """Runs jobs against one set of records and one object store."""

    def __init__(self, settings: Settings, command: tuple[str, ...] = (sys.executable, "-P", "-m", "quant")) -> None:
        self._settings, self._command = settings, command
        self._records, self._blobs = Records(settings.redis_url), Blobs(settings.store_url)

    def run(self, job_id: str) -> None:
        """Run the job if it is to be run; a message that comes twice, or too late, does nothing."""
        owner = secrets.token_hex(16)
        job = self._records.claim(job_id, owner)
        if job is None:
            return
        bound = log.bind(job=job.id, tenant=job.tenant, attempt=job.attempt)
        bound.info("job started")
        status, fields = self._outcome(job, owner)
        if status is None:
            bound.warning("job lost to another worker")
        elif self._records.finish(job.id, owner, status, fields):
            bound.info("job ended", status=status, error=fields.get("error"))

    def requeue_stale(self) -> list[str]:
        return self._records.requeue_stale()

    def _outcome(self, job: Job, owner: str) -> tuple[Status | None, dict[str, Any]]:
        try:
            if job.attempt > ATTEMPTS:
                raise WorkerCrashed(f"the job ended its worker {ATTEMPTS} times; it is not tried again")
            return self._run(job, owner)
        except Lost:
            return None, {}
        except Cancelled:
            return Status.CANCELLED, {}
        except QuantdError as error:
            return Status.FAILED, {"error": problem_of(error).model_dump()}

    def _run(self, job: Job, owner: str) -> tuple[Status, dict[str, Any]]:
        folder = Path(tempfile.mkdtemp(prefix="qd-job-"))
        try:
            command = self._fetch(job, folder)
            end = self._watch(job, owner, command, folder)
            if end["event"] == "error":
                return Status.FAILED, {"error": _reported(end).model_dump()}
            artifacts = self._store(job, folder / "out")
            kept = {name: end[name] for name in ("summary", "verdict", "gates", "timings")}
            return Status.SUCCEEDED, {**kept, "artifacts": [artifact.model_dump() for artifact in artifacts]}
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _fetch(self, job: Job, folder: Path) -> list[str]:
        """Put the job's inputs into its folder; the command that works on them."""
        model = self._records.upload("model", job.model)
        self._copy(model, folder / "model")
        (folder / "spec.json").write_text(json.dumps(job.spec))
        command = [*self._command, "model", "--spec", "spec.json", "--out", "out", "--name", model.filename or model.id]
        for role, upload_id in (("calibration", job.calibration), ("evaluation", job.evaluation)):
            if upload_id is not None:
                self._copy(self._records.upload("dataset", upload_id), folder / role)
                command += [f"--{role}", role]
        return command

    def _copy(self, upload: Upload, path: Path) -> None:
        if self._blobs.fetch(upload.key, path) != upload.sha256:
            raise DigestMismatch(f"{upload.id!r} is no longer what was uploaded; upload it again")

    def _watch(self, job: Job, owner: str, command: list[str], folder: Path) -> dict[str, Any]:
        """Relay the child's progress until its last line, which is returned."""
        told = renewed = 0.0
        stage = None
        with Child(command, folder, self._settings.job_memory_bytes, self._settings.job_timeout_s) as child:
            for event in child:
                if event is not None and event["event"] in ("done", "error"):
                    return event
                clock = time.monotonic()
                if event is not None and (event["stage"] != stage or clock - told > PROGRESS_EVERY_S):
                    stage, told, renewed = event["stage"], clock, clock
                    self._heed(self._records.progress(job.id, owner, event["stage"], _progress(event)))
                elif clock - renewed > min(1.0, LEASE_S / 10):
                    renewed = clock
                    self._heed(self._records.heartbeat(job.id, owner))
            failure = child.failure()
            log.error("child ended", job=job.id, detail=failure.detail, stderr=child.stderr())
            raise failure

    def _heed(self, answer: str) -> None:
        if answer == "cancel":
            raise Cancelled
        if answer != "ok":
            raise Lost

    def _store(self, job: Job, folder: Path) -> list[Artifact]:
        """Store each artifact under its own digest."""
        artifacts = []
        for name, media_type in ARTIFACTS.items():
            path = folder / name
            if not path.is_file() or path.is_symlink():
                raise WorkerCrashed(f"the job ended without {name}")
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            key = f"{job.tenant}/jobs/{job.id}/{digest}/{name}"
            self._blobs.write_file(key, path)
            artifacts.append(
                Artifact(name=name, size=path.stat().st_size, sha256=digest, media_type=media_type, key=key)
            )
        return artifacts


def _progress(event: dict[str, Any]) -> dict[str, Any]:
    done, total = int(event["done"]), int(event["total"])
    return {"fraction": done / total if total else 0.0, "done": done, "total": total, "message": str(event["message"])}


def _reported(end: dict[str, Any]) -> Problem:
    faults = [FieldProblem.model_validate(fault) for fault in end["errors"]]
    return make_problem(end["code"], end["title"], end["detail"], faults)
