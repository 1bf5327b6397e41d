"""The schedule of webhooks: ended jobs and batches that still have to notify their caller, and when it is tried."""

from collections.abc import Sequence
from typing import cast

import structlog

from jobs.batch import BATCH, Batch
from jobs.errors import NotFound
from jobs.job import Job
from jobs.records.batches import BatchRecords
from jobs.redis_keys import WEBHOOKS, job_key

log = structlog.get_logger()


class WebhookSchedule(BatchRecords):
    """The pending webhooks of all jobs and batches."""

    def due_webhooks(self, count: int = 500) -> list[Job | Batch]:
        """Return the jobs and batches whose webhooks are due, the longest overdue first; at most `count`.

        A webhook whose job was deleted is removed. One whose record cannot be read is removed and reported.
        """
        ids = cast(list[str], self._redis.zrangebyscore(WEBHOOKS, "-inf", self._clock(), 0, count))
        due: list[Job | Batch] = []
        for job_id in ids:
            try:
                due.append(self.batch(job_id) if job_id.startswith(f"{BATCH}_") else self.job(job_id))
            except NotFound:
                self.drop_webhook(job_id)
            except ValueError:
                log.exception("webhook set aside: the record of its job cannot be read", job=job_id)
                self.drop_webhook(job_id)
        return due

    def claim_webhooks(self, job_ids: Sequence[str], lease_s: float) -> dict[str, int]:
        """Return the number of the attempt for those that are still due; no other gateway gets them for `lease_s`."""
        document = {"lease": lease_s, "ids": list(job_ids)}
        return {str(job_id): int(attempt) for job_id, attempt in self._run("claim_webhooks", [], document)}

    def postpone_webhooks(self, job_ids: Sequence[str], delay_s: float = 1.0) -> None:
        """Put webhooks behind those that are due in `delay_s` seconds; this is no attempt.

        Those that another gateway has claimed in the meantime are due later, and stay so.
        """
        if job_ids:
            self._redis.zadd(WEBHOOKS, dict.fromkeys(job_ids, self._clock() + delay_s), xx=True, gt=True)

    def webhook_attempts(self, job_id: str) -> tuple[int, float | None]:
        """Return the number of attempts that were begun, and the time of the next one; None if there is none."""
        attempts = cast(str | None, self._redis.hget(job_key(job_id), "webhook_attempts"))
        return int(attempts or 0), self._redis.zscore(WEBHOOKS, job_id)

    def webhook_later(self, job_id: str, delay_s: float) -> None:
        """Schedule the next attempt in `delay_s` seconds."""
        self._redis.zadd(WEBHOOKS, {job_id: self._clock() + delay_s}, xx=True)

    def drop_webhook(self, job_id: str) -> None:
        """Remove a webhook that was delivered or that is not attempted again."""
        self._redis.zrem(WEBHOOKS, job_id)
