"""Resumable uploads in progress: the offset of each, and the blobs that hold its parts.

A session is a Redis hash that expires. Its offset changes by compare-and-set: of two writers at the same offset, one is
refused and its part discarded.
"""

import hashlib
import json
import time
from typing import cast

from jobs.connection import connect
from jobs.errors import Conflict, IdempotencyMismatch, NotFound, TooManyUploads
from jobs.job import FrozenModel
from jobs.redis_keys import Kind, idempotency_key

EXPIRE_S = 24 * 3600
"""A session without a new part for this long expires; `jobs.retention` removes its parts."""
MAX_OPEN = 16
"""The number of unfinished uploads of a tenant: their parts count against no quota until they are finished."""

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
    """A part of an upload, stored in its own blob; `size` is in bytes."""

    key: str
    size: int


class Session(FrozenModel):
    """An upload of `length` bytes; `result` is the id of the model or dataset that it became.

    `expires` is in seconds since 1970.
    """

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
        redis.RedisError: Redis cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self._redis = connect(url)
        self._advance = self._redis.register_script(_ADVANCE)

    def begin(self, session: Session, idempotency: str = "") -> str:
        """Store a new session and return its id, or the id of the session that the same idempotency key began before.

        Raises:
            IdempotencyMismatch: the key was used for another request.
            TooManyUploads: the tenant has `MAX_OPEN` unfinished uploads.
        """
        earlier = self._earlier(session, idempotency) if idempotency else None
        if earlier is not None:
            return earlier
        now, tenant = time.time(), _tenant(session.tenant)
        self._redis.zremrangebyscore(tenant, "-inf", now)
        if self._redis.zcard(tenant) >= MAX_OPEN:
            raise TooManyUploads(f"{MAX_OPEN} uploads are in progress; finish or delete one")
        pipeline = self._redis.pipeline()
        document = session.model_dump_json(exclude={"offset", "result", "expires"})
        pipeline.hset(_session(session.id), mapping={"document": document, "offset": "0"})
        pipeline.expire(_session(session.id), EXPIRE_S)
        pipeline.zadd(tenant, {session.id: now + EXPIRE_S})
        pipeline.execute()
        return session.id

    def _earlier(self, session: Session, idempotency: str) -> str | None:
        """Return the id of the session that the key stands for, or None after assigning the key to this session."""
        name = idempotency_key(session.tenant, idempotency)
        request = session.model_dump_json(exclude={"id", "offset", "result", "expires"})
        fingerprint = hashlib.sha256(request.encode()).hexdigest()
        value = f"{fingerprint} {_session(session.id)}"
        if self._redis.set(name, value, nx=True, ex=EXPIRE_S):
            return None
        known, _, key = cast(str, self._redis.get(name) or value).partition(" ")
        if self._redis.exists(key) and known != fingerprint:
            raise IdempotencyMismatch(f"idempotency key {idempotency!r} was used for another body; use a new key")
        if self._redis.exists(key):
            return key.split(":")[-1]
        self._redis.set(name, value, ex=EXPIRE_S)
        return None

    def get(self, session_id: str, tenant: str) -> Session:
        """Return the session.

        Raises:
            NotFound: there is no such session, it has expired, or it belongs to another tenant.
        """
        fields = cast(dict[str, str], self._redis.hgetall(_session(session_id)))
        document = json.loads(fields["document"]) if "document" in fields else {}
        if document.get("tenant") != tenant:
            raise NotFound(f"there is no upload {session_id!r} in progress; it may have expired: begin a new one")
        expires = time.time() + self._redis.ttl(_session(session_id))
        state = {"offset": int(fields["offset"]), "result": fields.get("result"), "expires": expires}
        return Session.model_validate(document | state)

    def parts(self, session: Session) -> list[Part]:
        """Return the stored parts, in order."""
        documents = cast(list[str], self._redis.lrange(_parts(session.id), 0, -1))
        return [Part.model_validate_json(data) for data in documents]

    def advance(self, session: Session, part: Part) -> int:
        """Record a part that was stored at the session's offset, and return the new offset.

        Raises:
            Conflict: another part was recorded at that offset.
            NotFound: the session no longer exists.
        """
        offset = session.offset + part.size
        answer = self._advance(
            keys=[_session(session.id), _parts(session.id), _tenant(session.tenant)],
            args=[session.offset, offset, part.model_dump_json(), EXPIRE_S, time.time() + EXPIRE_S, session.id],
        )
        if answer is None:
            return offset
        if answer == "gone":
            raise NotFound(f"the upload {session.id!r} was ended meanwhile; begin a new one")
        raise Conflict(f"the upload is at offset {answer}, not at {session.offset}: another client continued it")

    def finish(self, session: Session, result: str) -> None:
        """Record the id of the model or dataset that the upload became, until the session expires."""
        pipeline = self._redis.pipeline()
        pipeline.hset(_session(session.id), "result", result)
        pipeline.expire(_session(session.id), EXPIRE_S)
        pipeline.delete(_parts(session.id))
        pipeline.zrem(_tenant(session.tenant), session.id)
        pipeline.execute()

    def drop(self, session: Session) -> None:
        """Remove a session."""
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
