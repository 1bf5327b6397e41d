"""API keys: random, shown once, kept as a hash; each belongs to a tenant and says what its holder may do.

A key's text is `qd_<id>_<secret>`. The id finds the record; the secret has 256 random bits, so that its plain SHA-256
is as good as a slow hash would be.
"""

import hashlib
import re
import secrets
from enum import StrEnum
from typing import cast

import redis

from jobs.blobs import Blobs
from jobs.errors import NotFound, Unauthenticated
from jobs.job import FrozenModel, now

TENANT_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$"
"""Tenants are folders of the object store and parts of Redis keys."""
PREFIX = "_keys/"
"""Where the object store has the keys' records: no tenant's name begins with an underscore."""
_TEXT = re.compile(r"qd_([0-9a-f]{16})_([\w-]{43})", re.ASCII)
_NOBODY = "0" * 64


class Scope(StrEnum):
    READ = "read"
    WRITE = "write"


class Allowance(FrozenModel):
    """What a key's holder may take; None is without limit. `rate` counts requests a minute, `stored` bytes."""

    rate: int | None = None
    stored: int | None = None
    open_jobs: int | None = None


class Key(FrozenModel):
    """A key without its secret: what is kept of it."""

    id: str
    tenant: str
    name: str
    scopes: tuple[Scope, ...]
    sha256: str
    created_at: str
    allowance: Allowance = Allowance()
    revoked_at: str | None = None


class Keys:
    """The keys of all tenants: in Redis for the gateway, in the object store so that an empty Redis can be filled."""

    def __init__(self, redis_url: str, blobs: Blobs) -> None:
        self._redis = redis.Redis.from_url(
            redis_url, decode_responses=True, socket_timeout=10, socket_connect_timeout=2
        )
        self._blobs = blobs

    def create(
        self, tenant: str, name: str, scopes: tuple[Scope, ...], allowance: Allowance | None = None
    ) -> tuple[Key, str]:
        """A new key, and its text, which nothing can tell again."""
        key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
        key = Key(
            id=key_id, tenant=tenant, name=name, scopes=scopes, sha256=_hash(secret), created_at=now(),
            allowance=allowance or Allowance(),
        )  # fmt: skip
        self._store(key)
        return key, f"qd_{key_id}_{secret}"

    def check(self, text: str) -> Key:
        """The key that the text is of.

        Raises:
            Unauthenticated: it is of none, or of one that was revoked.
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise Unauthenticated("the API key is not of the form that keys have; accepted: qd_<id>_<secret>")
        key = self._get(found.group(1))
        same = secrets.compare_digest(_hash(found.group(2)), key.sha256 if key else _NOBODY)
        if key is None or not same or key.revoked_at is not None:
            raise Unauthenticated("the API key is unknown or was revoked; accepted: one that `quantd keys create` made")
        return key

    def list(self) -> list[Key]:
        """Every key, oldest first, revoked ones too."""
        ids = cast(set[str], self._redis.smembers(_all()))
        keys = [key for key_id in ids if (key := self._get(key_id))]
        return sorted(keys, key=lambda key: (key.created_at, key.id))

    def revoke(self, key_id: str) -> Key:
        """From now on the key opens nothing.

        Raises:
            NotFound: there is none.
        """
        key = self._get(key_id)
        if key is None:
            raise NotFound(f"there is no key {key_id!r}; `quantd keys list` shows those that are")
        revoked = key.model_copy(update={"revoked_at": key.revoked_at or now()})
        self._store(revoked)
        return revoked

    def restore(self) -> int:
        """Bring the keys of the object store into Redis; how many there are."""
        found = [Key.model_validate_json(self._blobs.read(path)) for path in self._blobs.keys(PREFIX)]
        for key in found:
            self._index(key)
        return len(found)

    def _get(self, key_id: str) -> Key | None:
        data = cast(str | None, self._redis.get(_key(key_id)))
        return Key.model_validate_json(data) if data else None

    def _store(self, key: Key) -> None:
        self._blobs.put(f"{PREFIX}{key.id}.json", key.model_dump_json().encode())
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
