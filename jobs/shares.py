"""Share links: a signed, expiring and revocable address that shows the report of one job to anybody who has it.

The token in a link is the share's id and its HMAC-SHA256 with a secret of the service. So no token is stored, and the
list of a job's links can still show each of them. The record behind the id makes the link expire and revocable.
Records and secret are in Redis only: after its loss, reports are shared again.
"""

import base64
import hashlib
import hmac
import secrets
from datetime import UTC, datetime, timedelta
from typing import cast

from jobs.connection import connect
from jobs.errors import NotFound, TooManyShares
from jobs.job import FrozenModel, Job, Timestamp, new_id
from jobs.records.store import EXPIRE_S, idempotency_mismatch
from jobs.redis_keys import idempotency_key

MAX_DAYS = 30
"""A share is valid for at most this many days."""
MAX_SHARES = 20
"""The number of links to one report that are valid at the same time."""
_SECRET = "qd:share:secret"


class Share(FrozenModel):
    """The stored record of a share link; times are in RFC 3339, UTC."""

    id: str
    tenant: str
    job: str
    created_at: Timestamp
    expires_at: Timestamp


class Shares:
    """The share links of all tenants.

    Raises:
        redis.RedisError: Redis cannot be reached.
    """

    def __init__(self, redis_url: str) -> None:
        self._redis = connect(redis_url)

    def create(self, job: Job, days: int, idempotency: str = "") -> Share:
        """Share the report of a job for up to `MAX_DAYS` days.

        With an idempotency key that created a share before, return that share.

        Raises:
            IdempotencyMismatch: the key was used for another request.
            TooManyShares: the job has `MAX_SHARES` valid links.
        """
        begin = datetime.now(UTC)
        share = Share(
            id=new_id("share"), tenant=job.tenant, job=job.id, created_at=_text(begin),
            expires_at=_text(begin + timedelta(days=days)),
        )  # fmt: skip
        earlier = self._earlier(share, f"share {job.id} {days}", idempotency) if idempotency else None
        if earlier is not None:
            return earlier
        if len(self.list(job)) >= MAX_SHARES:
            raise TooManyShares(f"the report has {MAX_SHARES} valid share links; revoke one")
        pipeline = self._redis.pipeline()
        pipeline.set(_share(share.id), share.model_dump_json(), ex=timedelta(days=days))
        pipeline.sadd(_of_job(job.id), share.id)
        pipeline.expire(_of_job(job.id), timedelta(days=MAX_DAYS))
        pipeline.execute()
        return share

    def _earlier(self, share: Share, request: str, idempotency: str) -> Share | None:
        """Return the share that the key stands for, or None after assigning the key to this share."""
        name = idempotency_key(share.tenant, idempotency)
        fingerprint = hashlib.sha256(request.encode()).hexdigest()
        value = f"{fingerprint} {_share(share.id)}"
        known = cast(str | None, self._redis.set(name, value, nx=True, ex=EXPIRE_S, get=True))
        if known is None:
            return None
        if not known.startswith(f"{fingerprint} "):
            raise idempotency_mismatch(idempotency)
        data = cast(str | None, self._redis.get(known.partition(" ")[2]))
        if data is None:  # revoked, or expired
            self._redis.set(name, value, ex=EXPIRE_S)
        return Share.model_validate_json(data) if data else None

    def list(self, job: Job) -> list[Share]:
        """Return the valid shares of a job, newest first."""
        keys = [_share(share_id) for share_id in cast(set[str], self._redis.smembers(_of_job(job.id)))]
        documents = cast(list[str | None], self._redis.mget(keys)) if keys else []
        shares = [Share.model_validate_json(data) for data in documents if data]
        return sorted(shares, key=lambda share: share.id, reverse=True)

    def get(self, job: Job, share_id: str) -> Share:
        """Return a valid share of a job.

        Raises:
            NotFound: the job has no such share; it may have expired.
        """
        data = cast(str | None, self._redis.get(_share(share_id)))
        share = Share.model_validate_json(data) if data else None
        if share is None or share.job != job.id:
            raise NotFound(f"job {job.id!r} has no share {share_id!r}; it may have expired")
        return share

    def revoke(self, share: Share) -> None:
        """Make the link of a share invalid at once."""
        pipeline = self._redis.pipeline()
        pipeline.delete(_share(share.id))
        pipeline.srem(_of_job(share.job), share.id)
        pipeline.execute()

    def token(self, share: Share) -> str:
        """Return the token in the share's link."""
        return f"{share.id}.{self._signature(share.id)}"

    def find(self, token: str) -> Share:
        """Return the valid share with this token.

        Raises:
            NotFound: the token is not signed by this service, or the share was revoked or has expired.
        """
        share_id, _, signature = token.partition(".")
        signed = hmac.compare_digest(signature.encode(), self._signature(share_id).encode())
        data = cast(str | None, self._redis.get(_share(share_id))) if signed else None
        if data is None:
            raise NotFound("this link is not valid: it may have expired, or was revoked; ask its sender for a new one")
        return Share.model_validate_json(data)

    def _signature(self, share_id: str) -> str:
        digest = hmac.digest(self._secret(), share_id.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def _secret(self) -> bytes:
        """Return the secret that signs the tokens; the first caller creates it."""
        created = secrets.token_hex(32)
        earlier = cast(str | None, self._redis.set(_SECRET, created, nx=True, get=True))
        return (earlier or created).encode()


def _share(share_id: str) -> str:
    return f"qd:share:{share_id}"


def _of_job(job_id: str) -> str:
    return f"qd:job:{job_id}:shares"


def _text(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
