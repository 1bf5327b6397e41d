"""The connection, scripts and encodings that all records share."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from jobs.connection import connect, server_time
from jobs.errors import IdempotencyMismatch
from jobs.job import timestamp
from jobs.records.scripts import ScriptName, script

LEASE_S = 60.0
"""Another worker may claim a running job whose worker sent no heartbeat for this many seconds."""
EXPIRE_S = 24 * 3600
"""The events of an ended job and idempotency keys expire after a day."""


class RecordStore:
    """A connection pool with the scripts of the records.

    Raises:
        redis.RedisError: Redis cannot be reached; the caller decides what to do.
    """

    def __init__(self, url: str, lease_s: float = LEASE_S) -> None:
        self._lease_s = lease_s
        self._redis = connect(url)

    def _run(self, name: ScriptName, keys: list[str], document: Mapping[str, Any], *values: str) -> Any:
        """Run a script; `document` is its first argument."""
        call = self._redis.register_script(script(name))
        return call(keys=keys, args=[_without_none(document), *values])

    def _clock(self) -> float:
        """Return the time of Redis in seconds since 1970, which is that of all leases and schedules."""
        return server_time(self._redis)

    def now(self) -> str:
        """Return the time of Redis in RFC 3339 format: all times of jobs and uploads are read from this clock."""
        return timestamp(self._clock())

    def _page(self, index: str, limit: int, cursor: str | None) -> tuple[list[str], str | None]:
        """Return a page of ids, newest first, and the next cursor.

        Ids sort by time, so a page can start after a cursor whose record is deleted.
        """
        top = "+" if cursor is None else f"({cursor}"
        ids = cast(list[str], self._redis.zrevrangebylex(index, top, "-", 0, limit + 1))
        return ids[:limit], ids[limit - 1] if len(ids) > limit else None


def hash_fields(fields: Mapping[str, Any]) -> list[str]:
    """Return the fields of a Redis hash as a flat list: name, JSON value, name, JSON value."""
    return [part for name, value in fields.items() for part in (name, json.dumps(value))]


def seconds(timestamp: str) -> float:
    """Return an RFC 3339 timestamp as seconds since 1970."""
    return datetime.fromisoformat(timestamp).timestamp()


def idempotency_mismatch(key: str) -> IdempotencyMismatch:
    """Return the error of an idempotency key that was used for another request."""
    return IdempotencyMismatch(f"idempotency key {key!r} was used for another body; use a new key")


def _without_none(document: Mapping[str, Any]) -> str:
    """Return the document as JSON without null values: Lua takes cjson.null for true."""
    return json.dumps({name: value for name, value in document.items() if value is not None})
