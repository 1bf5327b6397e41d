"""API keys: random, shown once, stored as a hash. Each belongs to a tenant and has scopes and quotas.

The text of a key is `qd_<id>_<secret>`. The id locates the record. The secret has 256 random bits, so a plain SHA-256
protects it as well as a slow password hash would.
"""

import hashlib
import re
import secrets
from enum import StrEnum
from typing import cast

from jobs.blobs import Blobs
from jobs.connection import connect
from jobs.errors import NotFound, Unauthenticated
from jobs.job import FrozenModel, now
from jobs.journal import Change, Journal

TENANT_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$"
"""Tenant names become folders of the object store and parts of Redis keys."""
PREFIX = "_keys/"
"""The folder of the key records in the object store. No tenant's name begins with an underscore."""
_TEXT = re.compile(r"qd_([0-9a-f]{16})_([\w-]{43})", re.ASCII)
_UNKNOWN = "0" * 64
"""Compared with when no key has the id, so that the time taken does not reveal which ids exist."""


class Scope(StrEnum):
    """A kind of request that a key permits."""

    READ = "read"
    WRITE = "write"


class Allowance(FrozenModel):
    """The quotas of a key; None means the service's default. `rate` is in requests per minute, `stored` in bytes."""

    rate: int | None = None
    stored: int | None = None
    open_jobs: int | None = None


class Key(FrozenModel):
    """The stored record of a key, with the hash of its secret."""

    id: str
    tenant: str
    name: str
    scopes: tuple[Scope, ...]
    sha256: str
    created_at: str
    allowance: Allowance = Allowance()
    revoked_at: str | None = None


class Keys:
    """The keys of all tenants: in Redis for the gateway, in the object store so that Redis can be rebuilt."""

    def __init__(self, redis_url: str, blobs: Blobs) -> None:
        self._redis = connect(redis_url)
        self._blobs, self._journal = blobs, Journal(blobs)

    def create(
        self, tenant: str, name: str, scopes: tuple[Scope, ...], allowance: Allowance | None = None
    ) -> tuple[Key, str]:
        """Create a key; return its record and its text, which cannot be recovered later."""
        key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
        key = Key(
            id=key_id, tenant=tenant, name=name, scopes=scopes, sha256=_hash(secret), created_at=now(),
            allowance=allowance or Allowance(),
        )  # fmt: skip
        self._store(key)
        return key, f"qd_{key_id}_{secret}"

    def check(self, text: str) -> Key:
        """Return the key with this text.

        Raises:
            Unauthenticated: the text is malformed, or the key is unknown or revoked.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise Unauthenticated("the API key is malformed; accepted: qd_<id>_<secret>")
        key = self._get(match.group(1))
        same = secrets.compare_digest(_hash(match.group(2)), key.sha256 if key else _UNKNOWN)
        if key is None or not same or key.revoked_at is not None:
            raise Unauthenticated("the API key is unknown or was revoked; accepted: a key of `quantd keys create`")
        return key

    def active(self, key_id: str) -> Key:
        """Return the key with this id, for a session that began with its text.

        Raises:
            Unauthenticated: the key is unknown or revoked.
        """
        key = self._get(key_id)
        if key is None or key.revoked_at is not None:
            raise Unauthenticated("the API key of this session was revoked; sign in with another key")
        return key

    def list(self) -> list[Key]:
        """Return every key, oldest first, including revoked keys."""
        ids = cast(set[str], self._redis.smembers(_all()))
        keys = [key for key_id in ids if (key := self._get(key_id))]
        return sorted(keys, key=lambda key: (key.created_at, key.id))

    def revoke(self, key_id: str) -> Key:
        """Revoke a key at once.

        Raises:
            NotFound: there is no such key.
        """
        key = self._get(key_id)
        if key is None:
            raise NotFound(f"there is no key {key_id!r}; `quantd keys list` lists the keys")
        revoked = key.model_copy(update={"revoked_at": key.revoked_at or now()})
        self._store(revoked)
        return revoked

    def restore(self, key: Key) -> bool:
        """Record a key as its document says, which is never older than its record; return False if they are equal."""
        if self._get(key.id) == key:
            return False
        self._index(key)
        return True

    def _get(self, key_id: str) -> Key | None:
        data = cast(str | None, self._redis.get(_key(key_id)))
        return Key.model_validate_json(data) if data else None

    def _store(self, key: Key) -> None:
        document = f"{PREFIX}{key.id}.json"
        self._journal.note(document, Change.WRITTEN)
        self._blobs.put(document, key.model_dump_json().encode())
        self._index(key)

    def _index(self, key: Key) -> None:
        pipeline = self._redis.pipeline()
        pipeline.set(_key(key.id), key.model_dump_json())
        pipeline.sadd(_all(), key.id)
        pipeline.execute()


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _key(key_id: str) -> str:
    return f"qd:key:{key_id}"


def _all() -> str:
    return "qd:keys"
