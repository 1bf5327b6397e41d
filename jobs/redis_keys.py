"""The names of keys in Redis."""

from typing import Literal

Kind = Literal["model", "dataset"]

OPEN = "qd:open"
"""Sorted set: jobs that have not ended, by the time of the next check for a lost message or worker."""
QUEUED = "qd:queued"
"""Sorted set: queued jobs, by the time at which they were queued."""
TURNS = "qd:turns"
"""Sorted sets, `qd:turns:job` and `qd:turns:plan`: tenants with waiting jobs or plans, by the order of their turns."""
PLANS = "qd:plans"
"""List: an entry for each new plan, its id, so that idle workers learn of it at once."""
ENDED = "qd:ended"
"""Sorted set: ended jobs, by the time of their end."""
USED = "qd:used"
"""Sorted set: the keys of uploads, by the time at which they were last stored or named in a job."""
UNARCHIVED = "qd:unarchived"
"""Set: new and ended jobs whose record is not in the object store yet."""
GONE = "qd:gone:"
"""The start of the keys of empty values: the ids of what was deleted or refused, which no document may restore."""
EPOCH = "qd:epoch"
"""The time up to which the index is complete, in seconds since 1970."""
RESTORER = "qd:restorer"
"""The gateway that compares the index with the object store, while it does."""
WEBHOOKS = "qd:webhooks"
"""Sorted set: ended jobs with a pending webhook, by the time of the next attempt."""
READY = "qd:ready"
"""An empty value that readiness checks write."""
USAGE_JOBS = "qd:usage:jobs"
"""Hash: the number of open jobs by API key."""
USAGE_BYTES = "qd:usage:bytes"
"""Hash: stored bytes by API key."""


def job_key(job_id: str) -> str:
    """Return the key of the hash with a job's record."""
    return f"qd:job:{job_id}"


def events_key(job_id: str) -> str:
    """Return the key of the stream of a job's events."""
    return f"qd:job:{job_id}:events"


def upload_key(kind: Kind, upload_id: str) -> str:
    """Return the key of an upload's document."""
    return f"qd:{kind}:{upload_id}"


def index_key(tenant: str, kind: str, part: str = "") -> str:
    """Return the key of the sorted set of a tenant's ids.

    `part` selects jobs: `status:...`, `tag:key:value`, `verdict:...`, `model:id` or `waiting`, those that wait for a
    worker, the oldest first: new ones, and those whose worker was lost.
    """
    return f"qd:tenant:{tenant}:{kind}s" + (f":{part}" if part else "")


def digests_key(tenant: str, kind: Kind) -> str:
    """Return the key of the hash from SHA-256 to the id of the upload with these bytes."""
    return f"qd:tenant:{tenant}:{kind}:sha256"


def results_key(tenant: str) -> str:
    """Return the key of the hash from cache key to the id of the succeeded job."""
    return f"qd:tenant:{tenant}:results"


def idempotency_key(tenant: str, key: str) -> str:
    """Return the key of the request that a caller's idempotency key stands for."""
    return f"qd:tenant:{tenant}:idempotency:{key}"
