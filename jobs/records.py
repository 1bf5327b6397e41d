"""The records of jobs, models and datasets in Redis: the truth about what was asked for and what became of it.

A job is a hash of JSON values. Every change of it is one Lua script that checks the state it starts from and
appends the event that tells of it, so that a change and its event happen together or not at all.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, cast

import redis

from jobs.errors import Conflict, IdempotencyMismatch, NotFound
from jobs.job import FINAL, Job, Progress, Stage, Status, Upload, now

LEASE_S = 60.0
"""A running job whose worker was silent for so long may be claimed by another."""
ATTEMPTS = 3
EVENTS_KEPT = 2000
KEPT_S = 24 * 3600
"""Events of a finished job and idempotency keys are kept for a day."""

Kind = Literal["model", "dataset"]

_CREATE = """
local earlier = KEYS[4] ~= '' and redis.call('GET', KEYS[4])
if earlier and redis.call('EXISTS', ARGV[5] .. string.match(earlier, ' (.*)')) == 1 then return earlier end
for i = 6, #KEYS do if redis.call('EXISTS', KEYS[i]) == 0 then return 'missing ' .. KEYS[i] end end
for i = 6, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('ZADD', KEYS[2], 0, ARGV[1])
redis.call('SADD', KEYS[3], ARGV[1])
redis.call('XADD', KEYS[5], '*', 'event', 'state', 'data', ARGV[2])
if KEYS[4] ~= '' then redis.call('SET', KEYS[4], ARGV[3], 'EX', ARGV[4]) end
return false
"""

_ADD_UPLOAD = """
local known = redis.call('HGET', KEYS[2], ARGV[2])
if known then return known end
redis.call('SET', KEYS[1], ARGV[3])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[1])
redis.call('ZADD', KEYS[3], 0, ARGV[1])
return false
"""

_DELETE_UPLOAD = """
local wanted = cjson.encode(ARGV[1])
for _, job in ipairs(redis.call('SMEMBERS', KEYS[4])) do
  for _, used in ipairs(redis.call('HMGET', ARGV[3] .. job, 'model', 'calibration', 'evaluation')) do
    if used == wanted then return job end
  end
end
redis.call('DEL', KEYS[1])
redis.call('HDEL', KEYS[2], ARGV[2])
redis.call('ZREM', KEYS[3], ARGV[1])
return false
"""

_CHANGE = """
local status = redis.call('HGET', KEYS[1], 'status')
if not status then return 'missing' end
local lease = tonumber(redis.call('HGET', KEYS[1], 'lease') or '0')
local owner = redis.call('HGET', KEYS[1], 'owner') or ''
local change = cjson.decode(ARGV[1])
local allowed = false
for _, from in ipairs(change.from) do allowed = allowed or status == '"' .. from .. '"' end
if change.expired_before and status == '"running"' then allowed = lease < change.expired_before end
if change.owner and owner ~= change.owner then return 'lost' end
if not allowed then return status end
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
if change.claim then redis.call('HINCRBY', KEYS[1], 'attempt', 1) end
if change.event then
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', change.keep, '*', 'event', change.event, 'data', change.data)
end
if change.final then
  redis.call('SREM', KEYS[3], change.id)
  redis.call('EXPIRE', KEYS[2], change.expire)
end
return redis.call('HGET', KEYS[1], 'cancel') == '1' and 'cancel' or 'ok'
"""


class Records:
    """Everything that is kept in Redis, over one connection pool.

    Raises:
        redis.RedisError: Redis is away; the caller decides what that means.
    """

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url, decode_responses=True, socket_timeout=10, socket_connect_timeout=2)
        self._create = self._redis.register_script(_CREATE)
        self._add_upload = self._redis.register_script(_ADD_UPLOAD)
        self._delete_upload = self._redis.register_script(_DELETE_UPLOAD)
        self._change = self._redis.register_script(_CHANGE)

    def ping(self) -> None:
        self._redis.ping()

    # Jobs

    def create_job(self, job: Job, idempotency: tuple[str, str] | None = None) -> Job:
        """Store a new job; the same idempotency (key, fingerprint of the request) gives the first one while it is kept.

        Raises:
            IdempotencyMismatch: the key was used for another request.
            NotFound: the model or a dataset is not there.
        """
        key, fingerprint = idempotency or ("", "")
        datasets = [_upload("dataset", data) for data in (job.calibration, job.evaluation) if data is not None]
        fields = [part for name, value in job.model_dump(mode="json").items() for part in (name, json.dumps(value))]
        earlier = self._create(
            keys=[
                _job(job.id), _index(job.tenant, "job"), _active(), _idempotency(job.tenant, key) if key else "",
                events_key(job.id), _upload("model", job.model), *datasets,
            ],
            args=[
                job.id, _state(job.status), f"{fingerprint} {job.id}", KEPT_S, _job(""), *fields,
                "queued_at", time.time(),
            ],
        )  # fmt: skip
        if earlier is None:
            return job
        known, first = str(earlier).split(" ")
        if known == "missing":
            raise NotFound(f"there is no {' '.join(first.split(':')[1:])}; it was deleted meanwhile")
        if known != fingerprint:
            raise IdempotencyMismatch(f"idempotency key {key!r} was used for another body; use a new key")
        return self.job(first, job.tenant)

    def job(self, job_id: str, tenant: str | None = None) -> Job:
        """The job; with `tenant`, only if it is that tenant's.

        Raises:
            NotFound: there is none.
        """
        fields = cast(dict[str, str], self._redis.hgetall(_job(job_id)))
        if not fields or (tenant is not None and json.loads(fields["tenant"]) != tenant):
            raise NotFound(f"there is no job {job_id!r}")
        return Job.model_validate({name: json.loads(fields[name]) for name in Job.model_fields if name in fields})

    def claim(self, job_id: str, owner: str) -> Job | None:
        """Make `owner` run the job, if it is queued or its worker fell silent; None where it is not to be run."""
        fields = {"status": "running", "started_at": now(), "stage": "loading", "error": None}
        change = {"from": ["queued"], "expired_before": time.time(), "claim": True}
        outcome = self._apply(job_id, change, fields, "state", _state(Status.RUNNING), owner=owner)
        return self.job(job_id) if outcome in ("ok", "cancel") else None

    def progress(self, job_id: str, owner: str, stage: Stage, progress: Progress) -> str:
        """Record progress and renew the lease: `ok`, `cancel` where the caller asked for it, `lost` where the
        job belongs to another worker or has ended."""
        change = {"from": ["running"], "owner": owner}
        told = progress.model_dump()
        data = json.dumps({"stage": stage, **told})
        return self._apply(job_id, change, {"stage": stage, "progress": told}, "progress", data, owner=owner)

    def heartbeat(self, job_id: str, owner: str) -> str:
        """Renew the lease; answers as `progress` does."""
        return self._apply(job_id, {"from": ["running"], "owner": owner}, {}, None, None, owner=owner)

    def finish(self, job_id: str, owner: str, status: Status, fields: Mapping[str, Any]) -> bool:
        """Set the final state once; False where another worker has the job or it has ended."""
        changed = {**fields, "status": status, "finished_at": now(), "stage": None}
        change = {"from": ["running"], "owner": owner, "final": True}
        return self._apply(job_id, change, changed, "state", _state(status)) in ("ok", "cancel")

    def cancel(self, job: Job) -> None:
        """Cancel a queued job at once; ask the worker of a running one to stop. Nothing happens to an ended one."""
        fields = {"status": Status.CANCELLED, "finished_at": now()}
        change = {"from": ["queued"], "final": True}
        if self._apply(job.id, change, fields, "state", _state(Status.CANCELLED)) == '"running"':
            self._apply(job.id, {"from": ["running"]}, {"cancel": 1}, None, None)

    def requeue_stale(self) -> list[str]:
        """The ids of jobs that stand still: queued for longer than a lease, or running with an expired one."""
        deadline = time.time()
        stale = []
        for job_id in cast(set[str], self._redis.smembers(_active())):
            status, queued, lease = cast(
                list[str | None], self._redis.hmget(_job(job_id), "status", "queued_at", "lease")
            )
            since = float(queued or 0) + LEASE_S if status == '"queued"' else float(lease or 0)
            if since < deadline:
                self._apply(job_id, {"from": ["queued", "running"]}, {"queued_at": deadline}, None, None)
                stale.append(job_id)
        return stale

    def delete_job(self, job: Job) -> None:
        """Remove the record of an ended job.

        Raises:
            Conflict: it has not ended.
        """
        if not job.final:
            raise Conflict(f"job {job.id!r} is {job.status}; cancel it first")
        pipeline = self._redis.pipeline()
        pipeline.delete(_job(job.id), events_key(job.id))
        pipeline.zrem(_index(job.tenant, "job"), job.id)
        pipeline.execute()

    # Models and datasets

    def add_upload(self, kind: Kind, upload: Upload) -> tuple[Upload, bool]:
        """Store a new upload; where the tenant has the same bytes already, that one and False."""
        keys = [_upload(kind, upload.id), _digests(upload.tenant, kind), _index(upload.tenant, kind)]
        known = self._add_upload(keys=keys, args=[upload.id, upload.sha256, upload.model_dump_json()])
        if known is not None:
            return self.upload(kind, str(known), upload.tenant), False
        return upload, True

    def upload(self, kind: Kind, upload_id: str, tenant: str | None = None) -> Upload:
        """The model or dataset.

        Raises:
            NotFound: there is none, or it is another tenant's.
        """
        data = cast(str | None, self._redis.get(_upload(kind, upload_id)))
        upload = Upload.model_validate_json(data) if data else None
        if upload is None or (tenant is not None and upload.tenant != tenant):
            raise NotFound(f"there is no {kind} {upload_id!r}")
        return upload

    def delete_upload(self, kind: Kind, upload: Upload) -> None:
        """Remove the record.

        Raises:
            Conflict: a job that has not ended uses it.
        """
        keys = [_upload(kind, upload.id), _digests(upload.tenant, kind), _index(upload.tenant, kind), _active()]
        user = self._delete_upload(keys=keys, args=[upload.id, upload.sha256, _job("")])
        if user is not None:
            raise Conflict(f"{kind} {upload.id!r} is used by job {str(user)!r}; wait for its end or cancel it")

    def uploads(self, tenant: str, kind: Kind, limit: int, cursor: str | None) -> tuple[list[Upload], str | None]:
        """A page of models or datasets, newest first, and the cursor of the next."""
        ids, following = self._page(tenant, kind, limit, cursor)
        found = cast(list[str | None], self._redis.mget([_upload(kind, upload_id) for upload_id in ids])) if ids else []
        return [Upload.model_validate_json(data) for data in found if data is not None], following

    def jobs(
        self, tenant: str, limit: int, cursor: str | None, wanted: Callable[[Job], bool] = lambda _: True
    ) -> tuple[list[Job], str | None]:
        """A page of the jobs that are wanted, newest first, and the cursor of the next."""
        found: list[Job] = []
        while True:
            ids, cursor = self._page(tenant, "job", limit, cursor)
            for job_id in ids:
                job = self._job_or_none(job_id)
                if job is not None and wanted(job):
                    found.append(job)
                if len(found) == limit:
                    return found, job_id if cursor is not None or job_id != ids[-1] else None
            if cursor is None:
                return found, None

    def _page(self, tenant: str, kind: str, limit: int, cursor: str | None) -> tuple[list[str], str | None]:
        """Ids sort by time: a page starts behind its cursor even where that id is gone."""
        top = "+" if cursor is None else f"({cursor}"
        ids = cast(list[str], self._redis.zrevrangebylex(_index(tenant, kind), top, "-", 0, limit + 1))
        return ids[:limit], ids[limit - 1] if len(ids) > limit else None

    def _job_or_none(self, job_id: str) -> Job | None:
        try:
            return self.job(job_id)
        except NotFound:
            return None

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
        document = {**change, "id": job_id, "keep": EVENTS_KEPT, "expire": KEPT_S}
        if event is not None:
            document |= {"event": event, "data": data}
        parts = [part for name, value in fields.items() for part in (name, json.dumps(value))]
        if owner is not None:
            parts += ["owner", owner, "lease", str(time.time() + LEASE_S)]
        keys = [_job(job_id), events_key(job_id), _active()]
        return str(self._change(keys=keys, args=[json.dumps(document), *parts]))


def events_key(job_id: str) -> str:
    """The Redis stream of a job's events."""
    return f"qd:job:{job_id}:events"


def _state(status: Status) -> str:
    return json.dumps({"status": status, "final": status in FINAL})


def _job(job_id: str) -> str:
    return f"qd:job:{job_id}"


def _upload(kind: Kind, upload_id: str) -> str:
    return f"qd:{kind}:{upload_id}"


def _index(tenant: str, kind: str) -> str:
    return f"qd:tenant:{tenant}:{kind}s"


def _digests(tenant: str, kind: Kind) -> str:
    return f"qd:tenant:{tenant}:{kind}:sha256"


def _idempotency(tenant: str, key: str) -> str:
    return f"qd:tenant:{tenant}:idempotency:{key}"


def _active() -> str:
    return "qd:active"
