"""Queries of job records."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast

import structlog

from jobs.errors import NotFound
from jobs.job import Job, JobKind, Status, is_id, timestamp
from jobs.records.store import RecordStore
from jobs.redis_keys import ENDED, OPEN, QUEUED, UNARCHIVED, index_key, job_key, results_key

CHUNK = 200
"""The number of ids that a page reads from an index at a time."""
SKEW_S = 300.0
"""The most seconds by which the clock of a gateway, which is in an id, and that of Redis differ."""
EXAMINED = 5_000
"""The number of jobs that are examined for one page: 20 ms of Redis' processor time, if a name is searched."""

log = structlog.get_logger()


@dataclass(frozen=True)
class JobFilter:
    """Conditions on jobs, all of which a listed job meets; None accepts every job.

    Attributes:
        status: the state of the job.
        tags: some of its tags, each `key:value`.
        verdict: the result of its gates.
        model: the id of its model.
        name: a part of the model's file name, in upper or lower case.
        created_after: the earliest time of its submission, in seconds since 1970.
        created_before: the time before which it was submitted, in seconds since 1970.
    """

    status: Status | None = None
    tags: tuple[str, ...] = ()
    verdict: Literal["pass", "fail"] | None = None
    model: str | None = None
    name: str | None = None
    created_after: float | None = None
    created_before: float | None = None

    @property
    def index_parts(self) -> list[str]:
        """The parts of the index keys that hold the jobs; the name and the times have no index."""
        values = {"status": self.status, "verdict": self.verdict, "model": self.model}
        parts = [f"{kind}:{value}" for kind, value in values.items() if value is not None]
        return [*parts, *(f"tag:{tag}" for tag in self.tags)]


EVERY_JOB = JobFilter()


class JobQueries(RecordStore):
    """The read side of job records."""

    def job(self, job_id: str, tenant: str | None = None, kind: JobKind = "job") -> Job:
        """Return the job or plan; with `tenant`, only if it belongs to that tenant and is of this kind.

        Raises:
            NotFound: there is no such job.
        """
        fields = cast(dict[str, str], self._redis.hgetall(job_key(job_id))) if is_id(job_id) else {}
        job = _job(fields) if fields else None
        if job is None or (tenant is not None and (job.tenant, job.kind) != (tenant, kind)):
            raise NotFound(f"there is no {kind} {job_id!r}")
        return job

    def jobs(
        self, tenant: str, limit: int, cursor: str | None, conditions: JobFilter = EVERY_JOB
    ) -> tuple[list[Job], str | None]:
        """Return a page of the jobs that meet the conditions, newest first, and the next cursor.

        One script reads the whole page. It examines a limited number of jobs, so that a rare name does not keep Redis
        busy: a page may hold fewer than `limit` jobs and have a next cursor all the same. A record that cannot be read
        is left out and logged.
        """
        indexes = [index_key(tenant, "job", part) for part in conditions.index_parts or [""]]
        after, before = conditions.created_after, conditions.created_before
        newest = [] if before is None else [_id_at(before + SKEW_S)]
        document = {
            "limit": limit, "cursor": min([cursor, *newest] if cursor else newest, default=None),
            "name": conditions.name or None, "chunk": CHUNK, "examine": EXAMINED,
            "oldest": None if after is None else _id_at(after - SKEW_S),
            "created_after": None if after is None else timestamp(after),
            "created_before": None if before is None else timestamp(before),
        }  # fmt: skip
        following, page = self._run("list_jobs", indexes, document)
        return list(_readable(dict(zip(flat[::2], flat[1::2], strict=True)) for flat in page)), following

    def counts(self, tenant: str) -> dict[Status, int]:
        """Return the number of the tenant's jobs by status."""
        pipeline = self._redis.pipeline(transaction=False)
        for status in Status:
            pipeline.zcard(index_key(tenant, "job", f"status:{status}"))
        return dict(zip(Status, pipeline.execute(), strict=True))

    def jobs_named(self, tenant: str, ids: Iterable[str]) -> list[Job]:
        """Return those of the jobs that exist and belong to the tenant."""
        return [job for job in self._read_jobs(ids) if (job.tenant, job.kind) == (tenant, "job")]

    def queue_position(self, job_id: str) -> int | None:
        """Return the place of a job, from 1, in the order in which workers take the waiting jobs: tenants take turns.

        None if it does not wait. Jobs that come later may be taken before it, but at most one of each other tenant for
        each turn of its own.
        """
        return cast(int | None, self._run("queue_position", [job_key(job_id)], {"id": job_id}))

    def result(self, tenant: str, work: str) -> Job | None:
        """Return a succeeded job with the work digest `work` (`jobs.cache_key`), or None."""
        job_id = cast(str | None, self._redis.hget(results_key(tenant), work))
        return next(iter(self._read_jobs([job_id] if job_id else [])), None)

    def ended_before(self, time_s: float) -> list[str]:
        """Return the ids of jobs that ended before `time_s` (seconds since 1970), oldest first."""
        return cast(list[str], self._redis.zrangebyscore(ENDED, "-inf", f"({time_s}"))

    def unarchived(self) -> list[Job]:
        """Return the new and ended jobs whose record is not in the object store yet."""
        return self._read_jobs(cast(set[str], self._redis.smembers(UNARCHIVED)))

    def depth(self) -> tuple[int, int, float | None]:
        """Return the numbers of queued and of running jobs, and the time since which the oldest queued job waits."""
        oldest = cast(list[tuple[str, float]], self._redis.zrange(QUEUED, 0, 0, withscores=True))
        queued = self._redis.zcard(QUEUED)
        return queued, self._redis.zcard(OPEN) - queued, oldest[0][1] if oldest else None

    def _read_jobs(self, ids: Iterable[str]) -> list[Job]:
        """Return the jobs that still exist and can be read, in one round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        for job_id in ids:
            pipeline.hgetall(job_key(job_id))
        return list(_readable(pipeline.execute()))


def _readable(records: Iterable[Mapping[str, str]]) -> Iterator[Job]:
    """Yield the jobs whose records are not empty; one that cannot be read must not hide the others."""
    for fields in filter(None, records):
        try:
            yield _job(fields)
        except ValueError as error:
            log.warning("record of a job cannot be read", id=fields.get("id"), reason=str(error)[:200])


def _id_at(time_s: float) -> str:
    """Return the beginning of the ids of jobs that were submitted at a time, in seconds since 1970."""
    return f"job_{max(0, int(1000 * time_s)):012x}"


def _job(fields: Mapping[str, str]) -> Job:
    return Job.model_validate({name: json.loads(fields[name]) for name in Job.model_fields if name in fields})
