"""Webhook deliveries: each is retried on a schedule until the receiver accepts it."""

import asyncio
from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx
import structlog
from starlette.concurrency import run_in_threadpool

from jobs.errors import NotFound
from jobs.records import Records
from service.webhooks.addresses import WebhookRefused
from service.webhooks.request import TIMEOUT_S, deliver, message

SCHEDULE_S = (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400)
"""Seconds between an attempt and the next, as Standard Webhooks recommend; after the last one it is given up."""
GONE = 410
"""The status with which a receiver says that it wants no more deliveries."""

log = structlog.get_logger()


class Deliveries:
    """Sender of the deliveries that are due; any number of gateways may run one, each delivery is claimed once."""

    def __init__(self, records: Records, allowed: Sequence[str], schedule: Sequence[float] = SCHEDULE_S) -> None:
        self._records, self._allowed, self._schedule = records, allowed, schedule

    async def send_due(self) -> int:
        """Attempt each delivery that is due once, and return their number."""
        due = await run_in_threadpool(self._records.claim_webhooks, 2 * TIMEOUT_S)
        await asyncio.gather(*(self._attempt(job_id, attempt) for job_id, attempt in due))
        return len(due)

    async def _attempt(self, job_id: str, attempt: int) -> None:
        """Send a job's webhook; drop the delivery if it is over, else schedule the next attempt."""
        try:
            job = await run_in_threadpool(self._records.job, job_id)
        except NotFound:  # the job was deleted
            return
        assert job.webhook is not None
        bound = log.bind(job=job.id, tenant=job.tenant, attempt=attempt, host=urlsplit(job.webhook.url).hostname)
        try:
            status = await deliver(job.webhook, message(job), f"msg_{job.id}", self._allowed)
        except WebhookRefused as error:
            bound.warning("webhook refused", reason=str(error))
            status = GONE
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            bound.warning("webhook not delivered", error=type(error).__name__)
            status = 0
        if 200 <= status < 300 or status == GONE or attempt >= len(self._schedule):
            bound.info("webhook finished", status=status)
            await run_in_threadpool(self._records.drop_webhook, job.id)
        else:
            bound.info("webhook will be retried", status=status)
            await run_in_threadpool(self._records.webhook_later, job.id, self._schedule[attempt])
