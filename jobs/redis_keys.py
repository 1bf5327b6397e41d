"""What the things in Redis are called."""

from typing import Literal

Kind = Literal["model", "dataset"]

OPEN = "qd:open"
"""Sorted set: jobs that have not ended, by the time at which somebody looks whether they stand still."""
QUEUED = "qd:queued"
"""Sorted set: jobs that wait, by the time since when they do."""
ENDED = "qd:ended"
"""Sorted set: jobs that have ended, by the time when they did."""
USED = "qd:used"
"""Sorted set: the keys of uploads, by the time when they were last stored or named by a job."""
UNARCHIVED = "qd:unarchived"
"""Set: ended jobs whose record is not in the object store yet."""
WEBHOOKS = "qd:webhooks"
"""Sorted set: ended jobs whose callers are to be told, by the time when they next are."""
USAGE_JOBS = "qd:usage:jobs"
"""Hash: open jobs by API key."""
USAGE_BYTES = "qd:usage:bytes"
"""Hash: stored bytes by API key."""


def job_key(job_id: str) -> str:
    return f"qd:job:{job_id}"


def events_key(job_id: str) -> str:
    """The Redis stream of a job's events."""
    return f"qd:job:{job_id}:events"


def upload_key(kind: Kind, upload_id: str) -> str:
    return f"qd:{kind}:{upload_id}"


def index_key(tenant: str, kind: str, part: str = "") -> str:
    """The sorted set of all ids of a tenant; of jobs also by `status:...` and by `tag:key:value`."""
    return f"qd:tenant:{tenant}:{kind}s" + (f":{part}" if part else "")


def digests_key(tenant: str, kind: Kind) -> str:
    """Hash: the id of the upload that has these bytes."""
    return f"qd:tenant:{tenant}:{kind}:sha256"


def results_key(tenant: str) -> str:
    """Hash: the id of the succeeded job that did this work."""
    return f"qd:tenant:{tenant}:results"


def idempotency_key(tenant: str, key: str) -> str:
    return f"qd:tenant:{tenant}:idempotency:{key}"
