"""The records of jobs, models and datasets in Redis: the truth about what was asked for and what became of it.

A job is a hash of JSON values. Every change of it is one Lua script that checks the state it starts from and
appends the event that tells of it, so that a change and its event happen together or not at all.
"""

import json
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, cast

import redis

from jobs import scripts
from jobs.errors import Conflict, IdempotencyMismatch, NotFound, StorageFull, TooManyJobs
from jobs.job import FINAL, Job, Progress, Stage, Status, Upload, now
from jobs.redis_keys import (
    ENDED,
    OPEN,
    QUEUED,
    UNARCHIVED,
    USAGE_BYTES,
    USED,
    WEBHOOKS,
    Kind,
    digests_key,
    events_key,
    idempotency_key,
    index_key,
    job_key,
    results_key,
    upload_key,
)

LEASE_S = 60.0
"""A running job whose worker was silent for so long may be claimed by another."""
ATTEMPTS = 3
EVENTS_KEPT = 2000
KEPT_S = 24 * 3600
"""Events of a finished job and idempotency keys are kept for a day."""


class Records:
    """Everything that is kept in Redis, over one connection pool.

    Raises:
        redis.RedisError: Redis is away; the caller decides what that means.
    """

    def __init__(self, url: str, lease_s: float = LEASE_S) -> None:
        self._lease_s = lease_s
        self._redis = redis.Redis.from_url(url, decode_responses=True, socket_timeout=10, socket_connect_timeout=2)
        self._create = self._redis.register_script(scripts.script(scripts.CREATE))
        self._change = self._redis.register_script(scripts.script(scripts.CHANGE))
        self._delete_job = self._redis.register_script(scripts.script(scripts.DELETE_JOB))
        self._add_upload = self._redis.register_script(scripts.script(scripts.ADD_UPLOAD))
        self._delete_upload = self._redis.register_script(scripts.script(scripts.DELETE_UPLOAD))
        self._claim_stale = self._redis.register_script(scripts.script(scripts.CLAIM_STALE))
        self._claim_webhooks = self._redis.register_script(scripts.script(scripts.CLAIM_WEBHOOKS))

    def ping(self) -> None:
        self._redis.ping()

    # Jobs

    def create_job(
        self, job: Job, idempotency: tuple[str, str] | None = None, open_jobs: int | None = None, restored: bool = False
    ) -> Job:
        """Store a new job; the same idempotency (key, fingerprint of the request) gives the first one while it is kept.

        `restored`: the record was read back from the object store, and whatever became of it is not told again.

        Raises:
            IdempotencyMismatch: the key was used for another request.
            NotFound: the model or a dataset is not there.
            TooManyJobs: the job's API key has `open_jobs` open already.
        """
        key, fingerprint = idempotency or ("", "")
        datasets = [upload_key("dataset", data) for data in (job.calibration, job.evaluation) if data is not None]
        document = {
            "id": job.id, "index": index_key(job.tenant, "job"), "state": _state(job.status), "final": job.final,
            "tags": _tags(job), "api_key": job.api_key, "open_jobs": open_jobs, "bytes": _bytes(job),
            "idempotency": f"{fingerprint} {job_key(job.id)}", "restored": restored, "expire": KEPT_S,
            "now": _seconds(job.finished_at or job.created_at), "due": time.time() + self._lease_s,
        }  # fmt: skip
        names = [job_key(job.id), events_key(job.id), idempotency_key(job.tenant, key) if key else ""]
        earlier = self._create(
            keys=[*names, upload_key("model", job.model), *datasets],
            args=[_json(document), *_parts(job.model_dump(mode="json"))],
        )
        return job if earlier is None else self._earlier(str(earlier), job, key, fingerprint)

    def _earlier(self, answer: str, job: Job, key: str, fingerprint: str) -> Job:
        """What stands instead of a job that was not created."""
        known, first = answer.split(" ")
        if known == "missing":
            raise NotFound(f"there is no {' '.join(first.split(':')[1:])}; it was deleted meanwhile")
        if known == "quota":
            raise TooManyJobs(f"{first} jobs of this API key have not ended; wait for one, or cancel one")
        if known not in ("known", fingerprint):
            raise _mismatch(key)
        return self.job(first.split(":")[-1], job.tenant)

    def job(self, job_id: str, tenant: str | None = None) -> Job:
        """The job; with `tenant`, only if it is that tenant's.

        Raises:
            NotFound: there is none.
        """
        fields = cast(dict[str, str], self._redis.hgetall(job_key(job_id)))
        if not fields or (tenant is not None and json.loads(fields["tenant"]) != tenant):
            raise NotFound(f"there is no job {job_id!r}")
        return _job(fields)

    def claim(self, job_id: str, owner: str, again: bool = False) -> Job | None:
        """Make `owner` run the job, if it is queued or its worker fell silent; None where it is not to be run.

        `again`: `owner` has it, and tries once more. One that was asked to stop meanwhile is cancelled.
        """
        fields = {"status": "running", "started_at": now(), "stage": "loading", "error": None}
        held = {"from": ["running"], "owner": owner} if again else {"from": ["queued"], "expired_before": time.time()}
        outcome = self._apply(job_id, {**held, "claim": True}, fields, "state", _state(Status.RUNNING), owner=owner)
        if outcome == "cancel":
            self.finish(job_id, owner, Status.CANCELLED, {})
        return self.job(job_id) if outcome == "ok" else None

    def progress(self, job_id: str, owner: str, stage: Stage, progress: Progress) -> str:
        """Record progress and renew the lease: `ok`, `cancel` where the caller asked for it, `lost` where the
        job belongs to another worker or has ended."""
        change = {"from": ["running"], "owner": owner}
        told = progress.model_dump()
        data = json.dumps({"stage": stage, **told})
        return self._apply(job_id, change, {"stage": stage, "progress": told}, "progress", data, owner=owner)

    def log(self, job_id: str, owner: str, level: Literal["info", "warning"], message: str) -> str:
        """Append to the job's log and renew the lease; answers as `progress` does."""
        change = {"from": ["running"], "owner": owner}
        return self._apply(job_id, change, {}, "log", json.dumps({"level": level, "message": message}), owner=owner)

    def heartbeat(self, job_id: str, owner: str) -> str:
        """Renew the lease; answers as `progress` does."""
        return self._apply(job_id, {"from": ["running"], "owner": owner}, {}, None, None, owner=owner)

    def finish(self, job_id: str, owner: str, status: Status, fields: Mapping[str, Any]) -> bool:
        """Set the final state once; False where another worker has the job or it has ended."""
        changed = {**fields, "status": status, "finished_at": now(), "stage": None}
        stored = sum(artifact["size"] for artifact in fields.get("artifacts", ()))
        change = {"from": ["running"], "owner": owner, "final": True, "bytes": stored}
        return self._apply(job_id, change, changed, "state", _state(status)) in ("ok", "cancel")

    def cancel(self, job: Job) -> None:
        """Cancel a queued job at once, and one that lost its worker; ask the worker of a running one to stop.

        Nothing happens to an ended one.
        """
        fields = {"status": Status.CANCELLED, "finished_at": now(), "stage": None}
        change = {"from": ["queued"], "expired_before": time.time(), "final": True, "bytes": 0}
        if self._apply(job.id, change, fields, "state", _state(Status.CANCELLED)) == "running":
            self._apply(job.id, {"from": ["running"]}, {"cancel": 1}, None, None)

    def claim_stale(self, count: int = 1000) -> list[str]:
        """The ids of jobs that stand still, to be sent again: queued for a lease, or running with an expired one.

        One that nobody claims is stale after two leases more, then four, and so on: behind a long queue, where its
        first message still lies, few others gather.
        """
        document = {"now": time.time(), "lease": self._lease_s, "count": count}
        return [str(job_id) for job_id in self._claim_stale(args=[_json(document)])]

    def delete_job(self, job: Job) -> None:
        """Remove the record of an ended job.

        Raises:
            Conflict: it has not ended.
        """
        document = {
            "id": job.id, "index": index_key(job.tenant, "job"), "tags": _tags(job), "bytes": _bytes(job),
        }  # fmt: skip
        status = self._delete_job(keys=[job_key(job.id), events_key(job.id)], args=[_json(document)])
        if status is not None:
            raise Conflict(f"job {job.id!r} is {status}; cancel it first")

    def result(self, tenant: str, work: str) -> Job | None:
        """The succeeded job that did this work."""
        job_id = cast(str | None, self._redis.hget(results_key(tenant), work))
        return next(iter(self._found([job_id] if job_id else [])), None)

    def ended_before(self, seconds: float) -> list[str]:
        """The ids of jobs that ended before that time, oldest first."""
        return cast(list[str], self._redis.zrangebyscore(ENDED, "-inf", f"({seconds}"))

    def unarchived(self) -> list[Job]:
        """Ended jobs whose record is not in the object store yet."""
        return self._found(cast(set[str], self._redis.smembers(UNARCHIVED)))

    def archived(self, job_id: str) -> None:
        self._redis.srem(UNARCHIVED, job_id)

    def claim_webhooks(self, lease_s: float, count: int = 100) -> list[tuple[str, int]]:
        """Job ids whose callers are to be told now, and how often that will have been tried; for a while they are
        nobody else's."""
        document = {"now": time.time(), "lease": lease_s, "count": count}
        return [(str(job_id), int(attempt)) for job_id, attempt in self._claim_webhooks(args=[_json(document)])]

    def webhook_later(self, job_id: str, seconds: float) -> None:
        """Try again so many seconds from now."""
        self._redis.zadd(WEBHOOKS, {job_id: time.time() + seconds}, xx=True)

    def drop_webhook(self, job_id: str) -> None:
        self._redis.zrem(WEBHOOKS, job_id)

    def stored_bytes(self, api_key: str) -> int:
        """How much is stored for an API key: uploads and artifacts."""
        return int(cast(str | None, self._redis.hget(USAGE_BYTES, api_key)) or 0)

    def depth(self) -> tuple[int, int, float | None]:
        """How many jobs are queued, how many run, and since when the oldest queued one waits."""
        oldest = cast(list[tuple[str, float]], self._redis.zrange(QUEUED, 0, 0, withscores=True))
        queued = self._redis.zcard(QUEUED)
        return queued, self._redis.zcard(OPEN) - queued, oldest[0][1] if oldest else None

    # Models and datasets

    def add_upload(
        self, kind: Kind, upload: Upload, limit: int | None = None, idempotency: str = ""
    ) -> tuple[Upload, bool]:
        """Store a new upload; where the tenant has the same bytes already, that one and False.

        The same idempotency key and bytes give what they gave the first time, and True.

        Raises:
            IdempotencyMismatch: the key was used for something else.
            StorageFull: its API key would have more than `limit` bytes stored.
        """
        document = {
            "id": upload.id, "sha256": upload.sha256, "size": upload.size, "api_key": upload.api_key, "limit": limit,
            "now": _seconds(upload.created_at), "prefix": upload_key(kind, ""), "expire": KEPT_S,
            "fingerprint": f"{kind}:{upload.sha256}",
        }  # fmt: skip
        places = [*_places(kind, upload), idempotency_key(upload.tenant, idempotency) if idempotency else ""]
        answer = self._add_upload(keys=places, args=[_json(document), upload.model_dump_json()])
        if answer is None:
            return upload, True
        word, *rest = str(answer).split(" ")
        if word == "quota":
            raise StorageFull(
                f"{rest[0]} of the {limit} bytes of this API key are taken, {upload.size} came; delete something"
            )
        if word == "earlier" and rest[0] != document["fingerprint"]:
            raise _mismatch(idempotency)
        return self.upload(kind, rest[-1].split(":")[-1], upload.tenant), word == "earlier"

    def upload(self, kind: Kind, upload_id: str, tenant: str | None = None) -> Upload:
        """The model or dataset.

        Raises:
            NotFound: there is none, or it is another tenant's.
        """
        data = cast(str | None, self._redis.get(upload_key(kind, upload_id)))
        upload = Upload.model_validate_json(data) if data else None
        if upload is None or (tenant is not None and upload.tenant != tenant):
            raise NotFound(f"there is no {kind} {upload_id!r}")
        return upload

    def delete_upload(self, kind: Kind, upload: Upload, unused_since: float | None = None) -> None:
        """Remove the record; with `unused_since`, only if nobody stored or named it after that time.

        Raises:
            Conflict: a job that has not ended uses it, or it was used since.
        """
        document = {"id": upload.id, "sha256": upload.sha256, "size": upload.size, "api_key": upload.api_key}
        document |= {"unused_since": unused_since} if unused_since is not None else {}
        user = self._delete_upload(keys=_places(kind, upload), args=[_json(document)])
        if user is not None:
            raise Conflict(f"{kind} {upload.id!r} is used by job {str(user)!r}; wait for its end or cancel it")

    def unused_since(self, seconds: float) -> list[tuple[Kind, str]]:
        """Kind and id of uploads that nobody stored or named after that time."""
        keys = cast(list[str], self._redis.zrangebyscore(USED, "-inf", f"({seconds}"))
        return [(cast(Kind, key.split(":")[1]), key.split(":")[2]) for key in keys]

    def uploads(self, tenant: str, kind: Kind, limit: int, cursor: str | None) -> tuple[list[Upload], str | None]:
        """A page of models or datasets, newest first, and the cursor of the next."""
        ids, following = self._page(index_key(tenant, kind), limit, cursor)
        found = cast(list[str | None], self._redis.mget([upload_key(kind, name) for name in ids])) if ids else []
        return [Upload.model_validate_json(data) for data in found if data is not None], following

    def jobs(
        self, tenant: str, limit: int, cursor: str | None, status: Status | None = None, tag: str | None = None
    ) -> tuple[list[Job], str | None]:
        """A page of the jobs of this status and with this tag (`key:value`), newest first; the cursor of the next."""
        parts = [f"status:{status}"] if status else []
        parts += [f"tag:{tag}"] if tag is not None else []
        indexes = [index_key(tenant, "job", part) for part in parts or [""]]
        if len(indexes) == 1:
            ids, following = self._page(indexes[0], limit, cursor)
        else:
            both = sorted(cast(list[str], self._redis.zinter(indexes)), reverse=True)
            ids = [job_id for job_id in both if cursor is None or job_id < cursor]
            ids, following = ids[:limit], ids[limit - 1] if len(ids) > limit else None
        return self._found(ids), following

    def _page(self, index: str, limit: int, cursor: str | None) -> tuple[list[str], str | None]:
        """Ids sort by time: a page starts behind its cursor even where that id is gone."""
        top = "+" if cursor is None else f"({cursor}"
        ids = cast(list[str], self._redis.zrevrangebylex(index, top, "-", 0, limit + 1))
        return ids[:limit], ids[limit - 1] if len(ids) > limit else None

    def _found(self, ids: Iterable[str]) -> list[Job]:
        """The jobs that are there, read in one round."""
        pipeline = self._redis.pipeline(transaction=False)
        for job_id in ids:
            pipeline.hgetall(job_key(job_id))
        return [_job(fields) for fields in pipeline.execute() if fields]

    def _apply(
        self,
        job_id: str,
        change: Mapping[str, Any],
        fields: Mapping[str, Any],
        event: str | None,
        data: str | None,
        owner: str | None = None,
    ) -> str:
        """Run the compare-and-set; `owner` gets (or keeps) the lease."""
        document = {**change, "id": job_id, "keep": EVENTS_KEPT, "expire": KEPT_S, "now": time.time()}
        if event is not None:
            document |= {"event": event, "data": data}
        parts = _parts(fields)
        if owner is not None:
            parts += ["owner", owner, "lease", str(time.time() + self._lease_s)]
        return str(self._change(keys=[job_key(job_id), events_key(job_id)], args=[_json(document), *parts]))


def _mismatch(key: str) -> IdempotencyMismatch:
    return IdempotencyMismatch(f"idempotency key {key!r} was used for another body; use a new key")


def _job(fields: Mapping[str, str]) -> Job:
    return Job.model_validate({name: json.loads(fields[name]) for name in Job.model_fields if name in fields})


def _state(status: Status) -> str:
    return json.dumps({"status": status, "final": status in FINAL})


def _parts(fields: Mapping[str, Any]) -> list[str]:
    return [part for name, value in fields.items() for part in (name, json.dumps(value))]


def _json(document: Mapping[str, Any]) -> str:
    """For Lua, whose null is a value like others: what is not there is left out."""
    return json.dumps({name: value for name, value in document.items() if value is not None})


def _tags(job: Job) -> list[str]:
    return [f"{key}:{value}" for key, value in job.tags.items()]


def _bytes(job: Job) -> int:
    return sum(artifact.size for artifact in job.artifacts)


def _seconds(time_: str) -> float:
    return datetime.fromisoformat(time_).timestamp()


def _places(kind: Kind, upload: Upload) -> list[str]:
    return [upload_key(kind, upload.id), digests_key(upload.tenant, kind), index_key(upload.tenant, kind)]
