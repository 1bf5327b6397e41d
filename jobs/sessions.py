"""Resumable uploads in progress: how far each is, and which blobs hold its parts.

A session is a Redis hash that expires; its offset moves by compare-and-set, so that of two writers at the same offset
one is refused and its part thrown away.
"""

import hashlib
import json
import time
from typing import cast

import redis

from jobs.errors import Conflict, IdempotencyMismatch, NotFound, TooManyUploads
from jobs.job import FrozenModel
from jobs.redis_keys import Kind, idempotency_key

KEPT_S = 24 * 3600
"""A session without news for so long is forgotten; its parts are removed by `jobs.retention`."""
OPEN_AT_A_TIME = 16
"""How many a tenant may have: what they hold counts for no quota before they are done."""

_ADVANCE = """
local offset = redis.call('HGET', KEYS[1], 'offset')
if not offset then return 'gone' end
if offset ~= ARGV[1] then return offset end
redis.call('HSET', KEYS[1], 'offset', ARGV[2])
redis.call('RPUSH', KEYS[2], ARGV[3])
for i = 1, 2 do redis.call('EXPIRE', KEYS[i], ARGV[4]) end
redis.call('ZADD', KEYS[3], 'XX', ARGV[5], ARGV[6])
return false
"""


class Part(FrozenModel):
    """Some bytes of an upload, in a blob of their own."""

    key: str
    size: int


class Session(FrozenModel):
    """An upload of `length` bytes; `result` is the id of the model or dataset that it became."""

    id: str
    tenant: str
    kind: Kind
    length: int
    filename: str | None = None
    sha256: str | None = None
    offset: int = 0
    result: str | None = None
    expires: float = 0


class Sessions:
    """The sessions of all tenants.

    Raises:
        redis.RedisError: Redis is away.
    """

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url, decode_responses=True, socket_timeout=10, socket_connect_timeout=2)
        self._advance = self._redis.register_script(_ADVANCE)

    def begin(self, session: Session, idempotency: str = "") -> str:
        """Store a new session; its id, or that of the one which the same idempotency key began before.

        Raises:
            IdempotencyMismatch: the key was used for something else.
            TooManyUploads: the tenant has as many open as it may.
        """
        earlier = self._earlier(session, idempotency) if idempotency else None
        if earlier is not None:
            return earlier
        now, tenant = time.time(), _tenant(session.tenant)
        self._redis.zremrangebyscore(tenant, "-inf", now)
        if self._redis.zcard(tenant) >= OPEN_AT_A_TIME:
            raise TooManyUploads(f"{OPEN_AT_A_TIME} uploads are in progress; finish or delete one")
        pipeline = self._redis.pipeline()
        document = session.model_dump_json(exclude={"offset", "result", "expires"})
        pipeline.hset(_session(session.id), mapping={"document": document, "offset": "0"})
        pipeline.expire(_session(session.id), KEPT_S)
        pipeline.zadd(tenant, {session.id: now + KEPT_S})
        pipeline.execute()
        return session.id

    def _earlier(self, session: Session, idempotency: str) -> str | None:
        """The id that the key stands for; None where it stands for this session from now on."""
        name = idempotency_key(session.tenant, idempotency)
        asked = session.model_dump_json(exclude={"id", "offset", "result", "expires"})
        fingerprint = hashlib.sha256(asked.encode()).hexdigest()
        value = f"{fingerprint} {_session(session.id)}"
        if self._redis.set(name, value, nx=True, ex=KEPT_S):
            return None
        known, _, key = cast(str, self._redis.get(name) or value).partition(" ")
        if self._redis.exists(key) and known != fingerprint:
            raise IdempotencyMismatch(f"idempotency key {idempotency!r} was used for another body; use a new key")
        if self._redis.exists(key):
            return key.split(":")[-1]
        self._redis.set(name, value, ex=KEPT_S)
        return None

    def get(self, session_id: str, tenant: str) -> Session:
        """The session as it is.

        Raises:
            NotFound: there is none, it has expired, or it is another tenant's.
        """
        fields = cast(dict[str, str], self._redis.hgetall(_session(session_id)))
        document = json.loads(fields["document"]) if "document" in fields else {}
        if document.get("tenant") != tenant:
            raise NotFound(f"there is no upload {session_id!r} in progress; it may have expired: begin a new one")
        expires = time.time() + self._redis.ttl(_session(session_id))
        own = {"offset": int(fields["offset"]), "result": fields.get("result"), "expires": expires}
        return Session.model_validate(document | own)

    def parts(self, session: Session) -> list[Part]:
        """The parts that were stored, in their order."""
        found = cast(list[str], self._redis.lrange(_parts(session.id), 0, -1))
        return [Part.model_validate_json(data) for data in found]

    def advance(self, session: Session, part: Part) -> int:
        """Count a part that was stored at the session's offset; the new offset.

        Raises:
            Conflict: another part was counted at that offset.
            NotFound: the session is gone.
        """
        offset = session.offset + part.size
        answer = self._advance(
            keys=[_session(session.id), _parts(session.id), _tenant(session.tenant)],
            args=[session.offset, offset, part.model_dump_json(), KEPT_S, time.time() + KEPT_S, session.id],
        )
        if answer is None:
            return offset
        if answer == "gone":
            raise NotFound(f"the upload {session.id!r} was ended meanwhile")
        raise Conflict(f"the upload is at offset {answer}, not at {session.offset}: somebody else went on with it")

    def finish(self, session: Session, result: str) -> None:
        """It became this model or dataset: told to who asks, while the session is kept."""
        pipeline = self._redis.pipeline()
        pipeline.hset(_session(session.id), "result", result)
        pipeline.expire(_session(session.id), KEPT_S)
        pipeline.delete(_parts(session.id))
        pipeline.zrem(_tenant(session.tenant), session.id)
        pipeline.execute()

    def drop(self, session: Session) -> None:
        pipeline = self._redis.pipeline()
        pipeline.delete(_session(session.id), _parts(session.id))
        pipeline.zrem(_tenant(session.tenant), session.id)
        pipeline.execute()


def _session(session_id: str) -> str:
    return f"qd:upload:{session_id}"


def _parts(session_id: str) -> str:
    return f"qd:upload:{session_id}:parts"


def _tenant(tenant: str) -> str:
    return f"qd:tenant:{tenant}:uploads"
