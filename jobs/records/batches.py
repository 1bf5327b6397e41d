"""The records of batches. A batch is created with all of its jobs, and ended by the step that ends the last of them."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from jobs.batch import BATCH, Batch
from jobs.errors import Conflict, NotFound
from jobs.job import FINAL, Job, Status, is_id
from jobs.records.job_states import JobStates, existing_id, job_part
from jobs.records.store import EXPIRE_S, hash_fields, seconds
from jobs.redis_keys import (
    ENDED_BATCHES,
    UNARCHIVED_BATCHES,
    batch_key,
    batches_key,
    events_key,
    idempotency_key,
    job_key,
    open_jobs_key,
    upload_key,
)


@dataclass(frozen=True)
class BatchCounts:
    """The numbers of a batch's jobs by status and by verdict; those without a verdict are not counted in `verdicts`.

    `deleted` jobs are those without a record.
    """

    statuses: Mapping[Status, int]
    verdicts: Mapping[str, int]
    deleted: int


class BatchRecords(JobStates):
    """The batches of all tenants."""

    def create_batch(self, batch: Batch, jobs: Sequence[Job], open_jobs: int | None = None) -> Batch:
        """Store a new batch with its jobs, or return the batch that the same idempotency key created before.

        Args:
            batch: the new batch.
            jobs: its jobs; those with a stored result have ended.
            open_jobs: the number of jobs that the API key may have open.

        Raises:
            IdempotencyMismatch: the key was used for another request.
            NotFound: a model or a dataset does not exist.
            TooManyJobs: the API key would have more than `open_jobs` open.
        """
        refusal = self._create_batch(batch, jobs, open_jobs)
        if refusal is None:
            return batch
        room = f", and the batch has {len(jobs)}; accepted: {open_jobs} together"
        return self.batch(existing_id(refusal, BATCH, batch.idempotency, room), batch.tenant)

    def restore_batch(self, batch: Batch) -> bool:
        """Record a batch as its document says, after its jobs; return False if it is recorded or was deleted.

        Raises:
            ValueError: the document has a time that is none.
        """
        return self._create_batch(batch, (), None, restored=True) is None

    def _create_batch(
        self, batch: Batch, jobs: Sequence[Job], open_jobs: int | None, restored: bool = False
    ) -> str | None:
        """Run the script that creates a batch, and return why it did not."""
        key, fingerprint = batch.idempotency or ("", "")
        document = {
            "id": batch.id, "api_key": batch.api_key, "open_jobs": open_jobs, "final": batch.final,
            "new": sum(not job.final for job in jobs), "restored": restored, "expire": EXPIRE_S,
            "idempotency": f"{fingerprint} {batch_key(batch.id)}", "lease": self._lease_s,
            "now": seconds(batch.finished_at or batch.created_at),
        }  # fmt: skip
        parts = json.dumps([{**job_part(job), "fields": hash_fields(job.model_dump(mode="json"))} for job in jobs])
        keys = [batch_key(batch.id), open_jobs_key(batch.id), idempotency_key(batch.tenant, key) if key else ""]
        keys += [batches_key(batch.tenant), *_inputs(jobs)]
        values = hash_fields(batch.model_dump(mode="json"))
        return cast(str | None, self._run("create_batch", keys, document, parts, *values))

    def batch(self, batch_id: str, tenant: str | None = None) -> Batch:
        """Return the batch; with `tenant`, only if it belongs to that tenant.

        Raises:
            NotFound: there is no such batch.
        """
        fields = cast(dict[str, str], self._redis.hgetall(batch_key(batch_id))) if is_id(batch_id) else {}
        batch = _batch(fields) if fields else None
        if batch is None or (tenant is not None and batch.tenant != tenant):
            raise NotFound(f"there is no batch {batch_id!r}")
        return batch

    def batches(self, tenant: str, limit: int, cursor: str | None) -> tuple[list[Batch], str | None]:
        """Return a page of batches, newest first, and the next cursor."""
        ids, following = self._page(batches_key(tenant), limit, cursor)
        return self._read_batches(ids), following

    def jobs_of(self, batch: Batch) -> list[Job]:
        """Return the jobs of a batch that were not deleted, in the order of the request."""
        return self.jobs_named(batch.tenant, batch.jobs)

    def batch_counts(self, batches: Sequence[Batch]) -> list[BatchCounts]:
        """Return the counts of each batch, in one round trip and without its whole jobs."""
        pipeline = self._redis.pipeline(transaction=False)
        for batch in batches:
            for job_id in batch.jobs:
                pipeline.hmget(job_key(job_id), "status", "verdict")
        answers = iter(pipeline.execute())
        return [_counts(len(batch.jobs), _outcomes(next(answers) for _ in batch.jobs)) for batch in batches]

    def cancel_batch(self, batch: Batch) -> list[str]:
        """Cancel the jobs of a batch that have not ended, as `cancel` does, and return their ids."""
        open_jobs = [job for job in self.jobs_of(batch) if job.status not in FINAL]
        for job in open_jobs:
            self.cancel(job)
        return [job.id for job in open_jobs]

    def delete_batch(self, batch: Batch, refused: bool = False) -> None:
        """Remove the record of an ended batch, or with `refused` of one that was not accepted in the end.

        Raises:
            Conflict: it has not ended.
        """
        keys = [batch_key(batch.id), events_key(batch.id), batches_key(batch.tenant)]
        if self._run("delete_batch", keys, {"id": batch.id, "refused": refused, "expire": EXPIRE_S}) is not None:
            raise Conflict(f"batch {batch.id!r} is running; cancel it first")

    def batches_ended_before(self, time_s: float) -> list[str]:
        """Return the ids of batches that ended before `time_s` (seconds since 1970), oldest first."""
        return cast(list[str], self._redis.zrangebyscore(ENDED_BATCHES, "-inf", f"({time_s}"))

    def unarchived_batches(self) -> list[Batch]:
        """Return the new and ended batches whose record is not in the object store yet."""
        return self._read_batches(cast(set[str], self._redis.smembers(UNARCHIVED_BATCHES)))

    def mark_batch_archived(self, batch: Batch) -> None:
        """Note that this record of the batch is in the object store, unless the batch has changed since."""
        document = {"id": batch.id, "status": batch.status}
        self._run("mark_archived", [batch_key(batch.id), UNARCHIVED_BATCHES], document)

    def _read_batches(self, ids: Iterable[str]) -> list[Batch]:
        pipeline = self._redis.pipeline(transaction=False)
        for batch_id in ids:
            pipeline.hgetall(batch_key(batch_id))
        return [_batch(fields) for fields in pipeline.execute() if fields]


def counts_of(batch: Batch, jobs: Iterable[Job]) -> BatchCounts:
    """Return the counts of a batch from its jobs that were not deleted, as `jobs_of` returns them."""
    return _counts(len(batch.jobs), [(job.status, job.verdict) for job in jobs])


def _inputs(jobs: Iterable[Job]) -> list[str]:
    """Return the keys of the uploads that the jobs use."""
    models = [upload_key("model", job.model) for job in jobs]
    datasets = [upload_key("dataset", name) for job in jobs for name in (job.calibration, job.evaluation) if name]
    return list(dict.fromkeys(models + datasets))


def _batch(fields: Mapping[str, str]) -> Batch:
    return Batch.model_validate({name: json.loads(fields[name]) for name in Batch.model_fields if name in fields})


def _outcomes(records: Iterable[Sequence[str | None]]) -> list[tuple[Status, str | None]]:
    """Return the status and the verdict of each record that exists."""
    return [
        (Status(json.loads(status)), json.loads(verdict) if verdict else None)
        for status, verdict in records
        if status is not None
    ]


def _counts(jobs: int, outcomes: Sequence[tuple[Status, str | None]]) -> BatchCounts:
    """Count the statuses and verdicts of the jobs that were not deleted, among `jobs` in all."""
    statuses = Counter(status for status, _ in outcomes)
    verdicts = Counter(verdict for _, verdict in outcomes if verdict)
    return BatchCounts({status: statuses[status] for status in Status}, verdicts, jobs - len(outcomes))
