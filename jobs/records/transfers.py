"""The records of transfers: jobs that wait for a fetch, and the schedule of copies to destinations."""

from typing import cast

from jobs.errors import NotFound
from jobs.job import FINAL, Destination, Job, Problem
from jobs.records.job_states import JobStates
from jobs.redis_keys import AWAITING, COPIES, Kind


class TransferRecords(JobStates):
    """The fetches and copies of all tenants."""

    def fetch(self, kind: Kind, upload_id: str, tenant: str) -> Job:
        """Return the record of a fetch that has not succeeded: it waits, runs or has failed.

        Raises:
            NotFound: there is no such fetch, or it was cancelled.
        """
        absent = NotFound(f"there is no {kind} {upload_id!r}")
        try:
            job = self.job(upload_id, tenant, "fetch")
        except NotFound:
            raise absent from None
        if job.fetch is None or job.fetch.kind != kind or job.status in ("succeeded", "cancelled"):
            raise absent
        return job

    def fetch_problem(self, upload_id: str) -> Problem | None:
        """Return the reason why an upload was not fetched; None if there is no failed fetch with its id."""
        try:
            return self.job(upload_id).error
        except NotFound:
            return None

    def jobs_awaiting(self, upload_id: str) -> list[Job]:
        """Return the jobs and plans that were created while this upload was fetched, and have not ended."""
        ids = cast(set[str], self._redis.smembers(AWAITING + upload_id))
        return [job for job in self._read_jobs(ids) if job.status not in FINAL]

    def claim_copy(self, lease_s: float) -> Job | None:
        """Return the job whose copy is due first; no other worker gets it for `lease_s`. None if none is due."""
        job_id = self._run("claim_copy", [], {"lease": lease_s})
        try:
            return None if job_id is None else self.job(str(job_id))
        except NotFound:
            return None

    def copy_later(self, job_id: str, delay_s: float) -> None:
        """Schedule the next attempt of a copy, or renew its lease, in `delay_s` seconds."""
        self._redis.zadd(COPIES, {job_id: self._clock() + delay_s}, xx=True)

    def record_copy(self, job: Job, destination: Destination) -> None:
        """Record the state of the copy of an ended job."""
        self._apply(job.id, {"from": ["succeeded"]}, {"destination": destination.model_dump(mode="json")}, None)

    def drop_copy(self, job_id: str) -> None:
        """Remove a copy that has ended."""
        self._redis.zrem(COPIES, job_id)
