"""Queries of job records."""

import json
from collections.abc import Iterable, Mapping
from typing import cast

from jobs.errors import NotFound
from jobs.job import Job, Status
from jobs.records.store import RecordStore
from jobs.redis_keys import ENDED, OPEN, QUEUED, UNARCHIVED, index_key, job_key, results_key


class JobQueries(RecordStore):
    """The read side of job records."""

    def job(self, job_id: str, tenant: str | None = None) -> Job:
        """Return the job; with `tenant`, only if it belongs to that tenant.

        Raises:
            NotFound: there is no such job.
        """
        fields = cast(dict[str, str], self._redis.hgetall(job_key(job_id)))
        if not fields or (tenant is not None and json.loads(fields["tenant"]) != tenant):
            raise NotFound(f"there is no job {job_id!r}")
        return _job(fields)

    def jobs(
        self, tenant: str, limit: int, cursor: str | None, status: Status | None = None, tag: str | None = None
    ) -> tuple[list[Job], str | None]:
        """Return a page of jobs, newest first, and the next cursor; filter by `status` and `tag` (`key:value`)."""
        parts = [f"status:{status}"] if status else []
        parts += [f"tag:{tag}"] if tag is not None else []
        indexes = [index_key(tenant, "job", part) for part in parts or [""]]
        if len(indexes) == 1:
            ids, following = self._page(indexes[0], limit, cursor)
        else:
            matching = sorted(cast(list[str], self._redis.zinter(indexes)), reverse=True)
            ids = [job_id for job_id in matching if cursor is None or job_id < cursor]
            ids, following = ids[:limit], ids[limit - 1] if len(ids) > limit else None
        return self._read_jobs(ids), following

    def result(self, tenant: str, work: str) -> Job | None:
        """Return a succeeded job with the work digest `work` (`jobs.cache_key`), or None."""
        job_id = cast(str | None, self._redis.hget(results_key(tenant), work))
        return next(iter(self._read_jobs([job_id] if job_id else [])), None)

    def ended_before(self, time_s: float) -> list[str]:
        """Return the ids of jobs that ended before `time_s` (seconds since 1970), oldest first."""
        return cast(list[str], self._redis.zrangebyscore(ENDED, "-inf", f"({time_s}"))

    def unarchived(self) -> list[Job]:
        """Return the ended jobs whose record is not in the object store yet."""
        return self._read_jobs(cast(set[str], self._redis.smembers(UNARCHIVED)))

    def depth(self) -> tuple[int, int, float | None]:
        """Return the numbers of queued and of running jobs, and the time since which the oldest queued job waits."""
        oldest = cast(list[tuple[str, float]], self._redis.zrange(QUEUED, 0, 0, withscores=True))
        queued = self._redis.zcard(QUEUED)
        return queued, self._redis.zcard(OPEN) - queued, oldest[0][1] if oldest else None

    def _read_jobs(self, ids: Iterable[str]) -> list[Job]:
        """Return the jobs that still exist, read in one round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        for job_id in ids:
            pipeline.hgetall(job_key(job_id))
        return [_job(fields) for fields in pipeline.execute() if fields]


def _job(fields: Mapping[str, str]) -> Job:
    return Job.model_validate({name: json.loads(fields[name]) for name in Job.model_fields if name in fields})
