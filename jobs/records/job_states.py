"""The state changes of jobs: compare-and-set operations, each of which appends the event of its change."""

import json
from collections.abc import Mapping
from typing import Any, Literal, cast

from jobs.errors import Conflict, NotFound, TooManyJobs
from jobs.job import FINAL, Job, JobKind, Progress, Status
from jobs.records.job_queries import JobQueries
from jobs.records.store import EXPIRE_S, hash_fields, idempotency_mismatch, seconds
from jobs.redis_keys import PLANS, UNARCHIVED, events_key, idempotency_key, index_key, job_key, upload_key
from jobs.remote.forgetting import without_signatures
from quant.outcome.stages import Stage

MAX_EVENTS = 2000
"""A job's stream keeps about this many events."""


class JobStates(JobQueries):
    """The write side of job records."""

    def create_job(
        self, job: Job, idempotency: tuple[str, str] | None = None, open_jobs: int | None = None, restored: bool = False
    ) -> Job:
        """Store a new job, or return the job that the same idempotency key created before.

        Args:
            job: the new job.
            idempotency: the idempotency key and a fingerprint of the request.
            open_jobs: the number of jobs that the job's API key may have open.
            restored: True if the record comes from the object store: the inputs may be lost, an idempotency key keeps
                the job that it has, and the webhook is called only if the job ended in the last minutes.

        Raises:
            IdempotencyMismatch: the key was used for another request.
            NotFound: the model or a dataset does not exist, or the job to be restored was deleted.
            TooManyJobs: the job's API key already has `open_jobs` open.
        """
        key, fingerprint = idempotency or ("", "")
        inputs = [upload_key("dataset", name) for name in (job.calibration, job.evaluation) if name is not None]
        document = {
            **job_part(job), "open_jobs": open_jobs, "idempotency": f"{fingerprint} {job_key(job.id)}",
            "restored": restored, "seconds": _run_seconds(job) if restored else None, "expire": EXPIRE_S,
            "now": seconds(job.finished_at or job.created_at), "lease": self._lease_s,
        }  # fmt: skip
        keys = [job_key(job.id), events_key(job.id), idempotency_key(job.tenant, key) if key else ""]
        keys += [] if job.kind == "fetch" else [upload_key("model", job.model), *inputs]
        refusal = self._run("create_job", keys, document, *hash_fields(job.model_dump(mode="json")))
        if refusal is None:
            return job
        existing = existing_id(refusal, job.kind, idempotency, "; wait for one, or cancel one")
        return self.job(existing, job.tenant, job.kind)

    def restore_job(self, job: Job) -> bool:
        """Record a job as its document says; return False if that changes nothing.

        A lost job is created again. A job that has ended by its document ends, and a worker that runs it loses it.

        Raises:
            ValueError: the document has a time that is none.
        """
        try:
            recorded = self.create_job(job, job.idempotency, restored=True)
        except NotFound:
            return False
        if recorded is job or recorded.final or not job.final:
            return recorded is job
        change = {
            "from": ["queued", "running"], "final": True, "bytes": _artifact_bytes(job), "restored": True,
            "seconds": _run_seconds(job),
            "now": seconds(job.finished_at or job.created_at),
        }  # fmt: skip
        event = ("state", _state(job.status))
        return self._apply(job.id, change, job.model_dump(mode="json"), event) in ("ok", "cancel")

    def claim(self, job_id: str, owner: str, retry: bool = False) -> Job | None:
        """Make `owner` run the job if it is queued or its lease has expired; return None if it must not run.

        Args:
            job_id: the job.
            owner: a random name for this attempt of a worker.
            retry: True if `owner` already holds the job and tries it again.

        A job that its caller has asked to cancel is cancelled instead.
        """
        fields = {"status": "running", "started_at": self.now(), "stage": Stage.LOADING, "error": None}
        expected = {"from": ["running"], "owner": owner} if retry else {"from": ["queued"], "or_expired": True}
        event = ("state", _state(Status.RUNNING))
        outcome = self._apply(job_id, {**expected, "claim": True}, fields, event, owner=owner)
        if outcome == "cancel":
            self.finish(job_id, owner, Status.CANCELLED, {})
        return self.job(job_id) if outcome == "ok" else None

    def claim_next(self, kind: JobKind, owner: str, sent: str | None = None) -> Job | None:
        """Make `owner` run the oldest waiting job of the tenant whose turn it is; return None if no job waits.

        Choosing and claiming are two steps: a job is in the queue until it is claimed, so none is lost if the worker is
        killed in between.

        Args:
            kind: jobs or plans; each kind has a queue.
            owner: a random name for this attempt of a worker.
            sent: a job of which a message came; it enters the queue if it waits outside of it.
        """
        while (job_id := self._run("next_waiting", [], {"kind": kind, "sent": sent})) is not None:
            job = self.claim(str(job_id), owner)
            if job is not None:
                return job
        return None

    def new_plan(self, wait_s: float) -> str | None:
        """Return the id of a plan that was created; None if none comes within `wait_s`."""
        entry = cast(tuple[str, str] | None, self._redis.blpop([PLANS], wait_s))
        return None if entry is None else entry[1]

    def progress(self, job_id: str, owner: str, stage: Stage, progress: Progress) -> str:
        """Record progress and renew the lease.

        Returns:
            `ok`; `cancel` if the caller asked to cancel the job; another word if `owner` no longer holds the job:
            `lost` (another worker has it), `missing` or the final state.
        """
        figures = progress.model_dump()
        event = ("progress", json.dumps({"stage": stage, **figures}))
        return self._apply_as(owner, job_id, {"stage": stage, "progress": figures}, event)

    def log(self, job_id: str, owner: str, level: Literal["info", "warning"], message: str) -> str:
        """Append to the job's log and renew the lease; return the same as `progress`."""
        return self._apply_as(owner, job_id, {}, ("log", json.dumps({"level": level, "message": message})))

    def heartbeat(self, job_id: str, owner: str) -> str:
        """Renew the lease; return the same as `progress`."""
        return self._apply_as(owner, job_id, {}, None)

    def release(self, job_id: str, owner: str) -> None:
        """End the lease of `owner`, so that another worker takes the job at once; the attempt counts."""
        self._apply(job_id, {"from": ["running"], "owner": owner, "release": True}, {}, None)

    def finish(self, job_id: str, owner: str, status: Status, fields: Mapping[str, Any]) -> bool:
        """Set the final state once; return False if another worker has the job or it has ended.

        The record keeps no signatures of URLs, except those that the copy of the artifacts needs.
        """
        changed = {**fields, "status": status, "finished_at": self.now(), "stage": None}
        for job in self._read_jobs([job_id]):
            changed |= without_signatures(job, status)
        stored = sum(artifact["size"] for artifact in fields.get("artifacts", ()))
        change = {"from": ["running"], "owner": owner, "final": True, "bytes": stored}
        return self._apply(job_id, change, changed, ("state", _state(status))) in ("ok", "cancel")

    def cancel(self, job: Job) -> Literal["cancelled", "stopping", "ended"]:
        """Cancel a queued job, or a running one whose lease has expired.

        The worker of any other running job is asked to stop. An ended job stays as it is.
        """
        ended = {"status": Status.CANCELLED, "finished_at": self.now(), "stage": None}
        fields = {**ended, **without_signatures(job, Status.CANCELLED)}
        change = {"from": ["queued"], "or_expired": True, "final": True, "bytes": 0}
        outcome = self._apply(job.id, change, fields, ("state", _state(Status.CANCELLED)))
        if outcome == "running" and self._apply(job.id, {"from": ["running"]}, {"cancel": 1}, None) == "cancel":
            return "stopping"
        return "cancelled" if outcome in ("ok", "cancel") else "ended"

    def claim_stale(self, count: int = 1000) -> list[str]:
        """Return the ids of jobs to send again: queued for longer than a lease, or running with an expired lease.

        The wait doubles each time (two leases, four, ...), so that a job that waits in a long queue gets few duplicate
        messages.
        """
        document = {"lease": self._lease_s, "count": count}
        return [str(job_id) for job_id in self._run("claim_stale", [], document)]

    def mark_archived(self, job: Job) -> None:
        """Note that this record of the job is in the object store; it is written again if the job has changed since."""
        self._run("mark_archived", [job_key(job.id), UNARCHIVED], {"id": job.id, "status": job.status})

    def delete_job(self, job: Job) -> None:
        """Remove the record of an ended job.

        Raises:
            Conflict: it has not ended.
        """
        document = {
            "id": job.id, "index": index_key(job.tenant, job.kind), "tags": _tags(job), "bytes": _artifact_bytes(job),
            "expire": EXPIRE_S,
        }  # fmt: skip
        status = self._run("delete_job", [job_key(job.id), events_key(job.id)], document)
        if status is not None:
            raise Conflict(f"job {job.id!r} is {status}; cancel it first")

    def _apply_as(self, owner: str, job_id: str, fields: Mapping[str, Any], event: tuple[str, str] | None) -> str:
        """Change a running job that `owner` holds."""
        return self._apply(job_id, {"from": ["running"], "owner": owner}, fields, event, owner=owner)

    def _apply(
        self,
        job_id: str,
        change: Mapping[str, Any],
        fields: Mapping[str, Any],
        event: tuple[str, str] | None,
        owner: str | None = None,
    ) -> str:
        """Run the compare-and-set and return its outcome: `ok`, or a word as `progress` returns it.

        Args:
            job_id: the job.
            change: the expected state and what follows from the change.
            fields: the fields to write.
            event: the kind and the JSON data of the event to append.
            owner: the worker that takes or renews the lease.
        """
        document = {**change, "id": job_id, "keep": MAX_EVENTS, "expire": EXPIRE_S}
        if event is not None:
            document |= {"event": event[0], "data": event[1]}
        values = hash_fields(fields)
        if owner is not None:
            document["lease"] = self._lease_s
            values += ["owner", owner]
        return str(self._run("change_job", [job_key(job_id), events_key(job_id)], document, *values))


def existing_id(refusal: str, kind: str, idempotency: tuple[str, str] | None, room: str) -> str:
    """Return the id of the record that exists instead of a new one.

    Args:
        refusal: the answer of the script that did not create the new record.
        kind: the kind of the record.
        idempotency: the idempotency key and the fingerprint of the request.
        room: the end of the message about a used quota: what would be accepted.

    Raises:
        IdempotencyMismatch: the key was used for another request.
        NotFound: the new record was deleted, or one of its uploads does not exist.
        TooManyJobs: the API key has too many open jobs.
    """
    key, fingerprint = idempotency or ("", "")
    reason, subject = refusal.split(" ")
    if reason == "gone":
        raise NotFound(f"the {kind} {subject!r} was deleted")
    if reason == "missing":
        raise NotFound(f"there is no {' '.join(subject.split(':')[1:])}; it was deleted meanwhile")
    if reason == "quota":
        raise TooManyJobs(f"{subject} jobs of this API key have not ended{room}")
    if reason not in ("known", fingerprint):
        raise idempotency_mismatch(key)
    return subject.split(":")[-1]


def job_part(job: Job) -> dict[str, Any]:
    """Return what the scripts that add the record of a new job need besides its fields."""
    return {
        "id": job.id, "kind": job.kind, "index": index_key(job.tenant, job.kind), "state": _state(job.status),
        "final": job.final, "tags": _tags(job), "api_key": job.api_key, "bytes": _artifact_bytes(job),
    }  # fmt: skip


def _run_seconds(job: Job) -> float:
    """Return the seconds that the last attempt took; 0 for a job that did not run or has not ended."""
    if job.started_at is None or job.finished_at is None:
        return 0.0
    return max(0.0, seconds(job.finished_at) - seconds(job.started_at))


def _state(status: Status) -> str:
    return json.dumps({"status": status, "final": status in FINAL})


def _tags(job: Job) -> list[str]:
    return [f"{key}:{value}" for key, value in job.tags.items()]


def _artifact_bytes(job: Job) -> int:
    return sum(artifact.size for artifact in job.artifacts)
