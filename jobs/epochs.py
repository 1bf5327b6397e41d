"""The epoch of the index: the time up to which Redis knows everything that the object store knows.

It is in both places. A gateway raises it in Redis and then in the object store, each time it has compared them. In
Redis it names the run of the server, too: another run may have lost the last seconds before a fail-over or a restart,
may be an old copy, or empty. Until it was compared, nobody can tell what exists.
"""

import math
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis

from jobs.blobs import Blobs
from jobs.connection import connect, server_time
from jobs.errors import NotFound, Unavailable
from jobs.redis_keys import EPOCH, RESTORER

DOCUMENT = "_epoch"
"""The blob with the epoch of the object store."""
LEASE_S = 15.0
"""Another gateway takes over from one that stopped while it compared."""

_RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
_RAISE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2])
return 1
"""
_LEAVE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"


class LeaseLost(Exception):
    """Redis was emptied or replaced during the comparison, or another gateway has taken over."""


@dataclass(frozen=True)
class Look:
    """The state of Redis: the run of the server, its time, and the epoch with the run in which it was set.

    Times are in seconds since 1970; the epoch is None if Redis has none.
    """

    server: str
    clock: float
    epoch: float | None
    epoch_server: str

    @property
    def compared(self) -> bool:
        """Return True if this run of the server was compared with the object store."""
        return self.epoch is not None and self.epoch_server == self.server


class Epochs:
    """The epochs of one Redis and one object store.

    Raises:
        redis.RedisError: Redis cannot be reached.
    """

    def __init__(self, redis_url: str, blobs: Blobs) -> None:
        self._redis = connect(redis_url, self._learn_server)
        self._blobs = blobs
        self._server = ""

    def check(self) -> None:
        """Check that the index is complete, with one read of Redis.

        Raises:
            Unavailable: it may not be, since this run of the server was not compared with the object store yet.
        """
        epoch, server = self._epoch()
        if epoch is None or server != self._server:
            raise Unavailable("the index of the records is being compared with the object store; try again")

    def look(self) -> Look:
        """Return the state of Redis."""
        epoch, server = self._epoch()
        return Look(self._server, server_time(self._redis), epoch, server)

    def stored(self) -> float | None:
        """Return the epoch of the object store; None if it has none."""
        try:
            return _time(self._blobs.read(DOCUMENT).decode(errors="replace"))
        except NotFound:
            return None

    @contextmanager
    def lease(self, look: Look) -> Iterator["Lease | None"]:
        """Give a lease on the comparison that began with this look, or None while another gateway has it."""
        lease = Lease(self._redis, secrets.token_hex(16), look.server)
        if not self._redis.set(RESTORER, lease.owner, nx=True, px=int(LEASE_S * 1000)):
            yield None
            return
        try:
            yield lease
        finally:
            self._redis.eval(_LEAVE, 1, RESTORER, lease.owner)

    def set(self, epoch: float, lease: "Lease") -> None:
        """Set the epoch in both places.

        Raises:
            LeaseLost: the comparison may have missed something.
        """
        lease.renew()
        if self._server != lease.server:
            raise LeaseLost("the record store is another run of the server")
        if not self._redis.eval(_RAISE, 2, RESTORER, EPOCH, lease.owner, f"{epoch!r} {lease.server}"):
            raise LeaseLost("the record store was emptied")
        self._blobs.put(DOCUMENT, repr(epoch).encode())

    def _epoch(self) -> tuple[float | None, str]:
        """Return the epoch in Redis, and the run of the server in which it was set."""
        time_s, _, server = str(self._redis.get(EPOCH) or "").partition(" ")
        return _time(time_s), server

    def _learn_server(self, connection: Any) -> None:
        """Prepare a new connection, and ask it for the run of the server."""
        connection.on_connect()
        connection.send_command("INFO", "server")
        match = re.search(r"^run_id:(\w+)", str(connection.read_response()), re.MULTILINE)
        self._server = match.group(1) if match else ""


@dataclass(frozen=True)
class Lease:
    """The right to compare Redis with the object store, held in the Redis that was `server` at its begin."""

    redis: redis.Redis
    owner: str
    server: str

    def renew(self) -> None:
        """Keep the lease.

        Raises:
            LeaseLost: it has expired, or Redis was emptied.
        """
        if not self.redis.eval(_RENEW, 1, RESTORER, self.owner, int(LEASE_S * 1000)):
            raise LeaseLost("the lease of the comparison has expired, or the record store was emptied")


def _time(text: str) -> float | None:
    """Return a stored time; None if it is none."""
    try:
        time_s = float(text)
    except ValueError:
        return None
    return time_s if math.isfinite(time_s) else None
