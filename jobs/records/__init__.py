"""The records of jobs, models and datasets in Redis: the source of truth for every request and its result.

A job is a hash of JSON values. Every change of it is one Lua script that checks the state it starts from and appends
the event of the change, so that a change and its event happen together or not at all.
"""

from jobs.records.job_queries import JobFilter
from jobs.records.presence import RecordPresence
from jobs.records.store import LEASE_S
from jobs.records.transfers import TransferRecords
from jobs.records.uploads import UploadRecords
from jobs.records.usage import UsageRecords
from jobs.records.webhooks import WebhookSchedule
from jobs.redis_keys import READY

ATTEMPTS = 3
"""The number of times that a job is attempted before it fails."""

READY_FOR_S = 60

__all__ = ["ATTEMPTS", "LEASE_S", "JobFilter", "Records"]


class Records(WebhookSchedule, TransferRecords, UploadRecords, UsageRecords, RecordPresence):
    """All records, over one connection pool."""

    def ping(self) -> None:
        """Check that Redis answers and takes a write.

        Raises:
            redis.RedisError: it does not.
        """
        self._redis.set(READY, "", ex=READY_FOR_S)
