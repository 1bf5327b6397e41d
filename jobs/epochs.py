"""The epoch of the index: the time up to which Redis knows everything that the object store knows.

It is in both places. A gateway raises it in Redis and then in the object store, each time it has compared them. An
epoch that is missing from Redis, or far behind, belongs to an index that was emptied or is an old copy: until it is
restored, nobody can tell what exists.
"""

import math
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import redis

from jobs.blobs import Blobs
from jobs.connection import connect, server_time
from jobs.errors import NotFound, Unavailable
from jobs.redis_keys import EPOCH, RESTORER

DOCUMENT = "_epoch"
"""The blob with the epoch of the object store."""
MARGIN_S = 300.0
"""An index that is at most so far behind answers requests; the clocks of gateways may differ by less than this."""
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
    """The state of Redis: the run of the server, its time in seconds since 1970, and the epoch; None if it has none."""

    server: str
    clock: float
    epoch: float | None


class Epochs:
    """The epochs of one Redis and one object store.

    Raises:
        redis.RedisError: Redis cannot be reached.
    """

    def __init__(self, redis_url: str, blobs: Blobs) -> None:
        self._redis, self._blobs = connect(redis_url), blobs
        self._latest: float | None = None

    def check(self) -> None:
        """Check that the index is complete, except for what was lost in the last minutes.

        Raises:
            Unavailable: it is empty or old, or it was not compared with the object store yet.
        """
        epoch = _number(self._redis.get(EPOCH))
        if epoch is None or self._latest is None or self.behind(epoch) > MARGIN_S:
            raise Unavailable("the index of the records is being restored from the object store; try again")

    def behind(self, epoch: float) -> float:
        """Return how many seconds this epoch of Redis is behind the latest one that this process has seen."""
        self._latest = max(self._latest or 0.0, epoch)
        return self._latest - epoch

    def look(self) -> Look:
        """Return the state of Redis."""
        server = str(self._redis.info("server")["run_id"])
        return Look(server, server_time(self._redis), _number(self._redis.get(EPOCH)))

    def read_stored(self) -> None:
        """Learn the epoch of the object store."""
        try:
            stored = _number(self._blobs.read(DOCUMENT))
        except NotFound:
            stored = None
        self._latest = max(self._latest or 0.0, stored or 0.0)

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
        """Set the epoch in both places, and never to an earlier one.

        Raises:
            LeaseLost: the comparison may have missed something.
        """
        lease.renew()
        if self.look().server != lease.server:
            raise LeaseLost("the record store is another run of the server")
        latest = max(epoch, self._latest or 0.0)
        if not self._redis.eval(_RAISE, 2, RESTORER, EPOCH, lease.owner, repr(latest)):
            raise LeaseLost("the record store was emptied")
        self._blobs.put(DOCUMENT, repr(latest).encode())
        self._latest = latest


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


def _number(text: object) -> float | None:
    """Return a stored epoch; None if it is missing or is no number."""
    try:
        number = float(text.decode() if isinstance(text, bytes) else str(text))
    except ValueError:
        return None
    return number if math.isfinite(number) else None
