"""The schedule of webhooks: the ended jobs that still have to notify their caller, and the times of the attempts."""

import time
from typing import cast

from jobs.records.store import RecordStore
from jobs.redis_keys import WEBHOOKS, job_key


class WebhookSchedule(RecordStore):
    """The pending webhooks of all jobs."""

    def claim_webhooks(self, lease_s: float, count: int = 100) -> list[tuple[str, int]]:
        """Return job id and attempt number of the webhooks that are due; no other gateway gets them for `lease_s`."""
        document = {"now": time.time(), "lease": lease_s, "count": count}
        return [(str(job_id), int(attempt)) for job_id, attempt in self._run("claim_webhooks", [], document)]

    def webhook_attempts(self, job_id: str) -> tuple[int, float | None]:
        """Return the number of attempts that were begun, and the time of the next one; None if there is none."""
        attempts = cast(str | None, self._redis.hget(job_key(job_id), "webhook_attempts"))
        return int(attempts or 0), self._redis.zscore(WEBHOOKS, job_id)

    def webhook_later(self, job_id: str, delay_s: float) -> None:
        """Schedule the next attempt in `delay_s` seconds."""
        self._redis.zadd(WEBHOOKS, {job_id: time.time() + delay_s}, xx=True)

    def drop_webhook(self, job_id: str) -> None:
        """Remove a webhook that was delivered or that is not attempted again."""
        self._redis.zrem(WEBHOOKS, job_id)
