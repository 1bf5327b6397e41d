"""The names of keys in Redis."""

from typing import Literal

Kind = Literal["model", "dataset"]

OPEN = "qd:open"
"""Sorted set: jobs that have not ended, by the time of the next check for a lost message or worker."""
QUEUED = "qd:queued"
"""Sorted set: queued jobs, by the time at which they were queued."""
TURNS = "qd:turns"
"""Sorted sets `qd:turns:job`, `qd:turns:plan`, `qd:turns:fetch`: tenants with waiting records, by their turns."""
PLANS = "qd:plans"
"""List: an entry for each new plan, its id, so that idle workers learn of it at once."""
ENDED = "qd:ended"
"""Sorted set: ended jobs, by the time of their end."""
ENDED_BATCHES = "qd:batches:ended"
"""Sorted set: ended batches, by the time of their end."""
USED = "qd:used"
"""Sorted set: the keys of uploads, by the time at which they were last stored or named in a job."""
UNARCHIVED = "qd:unarchived"
"""Set: new and ended jobs whose record is not in the object store yet."""
UNARCHIVED_BATCHES = "qd:batches:unarchived"
"""Set: new and ended batches whose record is not in the object store yet."""
GONE = "qd:gone:"
"""The start of the keys of empty values: the ids of what was deleted or refused, which no document may restore."""
EPOCH = "qd:epoch"
"""The time up to which the index is complete, in seconds since 1970."""
RESTORER = "qd:restorer"
"""The gateway that compares the index with the object store, while it does."""
WEBHOOKS = "qd:webhooks"
"""Sorted set: ended jobs and batches with a pending webhook, by the time of the next attempt."""
COPIES = "qd:copies"
"""Sorted set: ended jobs whose artifacts are to be copied to a destination, by the time of the next attempt."""
AWAITING = "qd:awaiting:"
"""The start of the keys of sets: the jobs that were created while their input, which ends the key, was fetched."""
READY = "qd:ready"
"""An empty value that readiness checks write."""
USAGE_JOBS = "qd:usage:jobs"
"""Hash: the number of open jobs by API key."""
USAGE_DAY = "qd:usage:day:"
"""The start of the keys of hashes: the amount of each figure on a day, by `TENANT FIGURE`."""
USAGE_BYTES = "qd:usage:bytes"
"""Hash: stored bytes by API key."""


def usage_key(day: int) -> str:
    """Return the key of the hash with the usage of all tenants on a day, counted from 1970-01-01 in UTC."""
    return f"{USAGE_DAY}{day}"


def job_key(job_id: str) -> str:
    """Return the key of the hash with a job's record."""
    return f"qd:job:{job_id}"


def events_key(job_id: str) -> str:
    """Return the key of the stream of the events of a job or a batch."""
    return f"qd:job:{job_id}:events"


def batch_key(batch_id: str) -> str:
    """Return the key of the hash with a batch's record."""
    return f"qd:batch:{batch_id}"


def open_jobs_key(batch_id: str) -> str:
    """Return the key of the set of a batch's jobs that have not ended."""
    return f"qd:batch:{batch_id}:open"


def batches_key(tenant: str) -> str:
    """Return the key of the sorted set of a tenant's batches."""
    return f"qd:tenant:{tenant}:batches"


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
