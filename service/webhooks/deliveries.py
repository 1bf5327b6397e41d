"""Webhook deliveries: each is retried on a schedule until the receiver accepts it."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

import httpx
import redis
import structlog
from starlette.concurrency import run_in_threadpool

from jobs.batch import Batch
from jobs.job import Job
from jobs.records import Records
from jobs.remote.addresses import AddressRefused
from service.webhooks.request import TIMEOUT_S, deliver, message

SCHEDULE_S = (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400)
"""Seconds between an attempt and the next, as Standard Webhooks recommend; after the last one it is given up."""
GONE = 410
"""The status with which a receiver says that it wants no more deliveries."""
MOST, MOST_OF_A_TENANT, MOST_TO_A_HOST = 128, 32, 8
"""Deliveries at the same time of one gateway: of all, of one tenant and to one host.

A receiver that hangs holds its places for `TIMEOUT_S`; other receivers and other tenants have theirs.
"""

log = structlog.get_logger()


class Deliveries:
    """Sender of the deliveries that are due; any number of gateways may run one, each delivery is claimed once."""

    def __init__(self, records: Records, allowed: Sequence[str], schedule: Sequence[float] = SCHEDULE_S) -> None:
        self._records, self._allowed, self._schedule = records, allowed, schedule
        self._running: dict[asyncio.Task[None], Job | Batch] = {}

    async def begin_due(self) -> list[asyncio.Task[None]]:
        """Begin the deliveries that are due and have a place, and return their tasks."""
        due = await run_in_threadpool(self._records.due_webhooks)
        begun, waiting = _with_a_place(due, self._running.values())
        attempts = await run_in_threadpool(self._records.claim_webhooks, [job.id for job in begun], 2 * TIMEOUT_S)
        await run_in_threadpool(self._records.postpone_webhooks, [job.id for job in waiting])
        return [self._begin(job, attempts[job.id]) for job in begun if job.id in attempts]

    async def stop(self) -> None:
        """End the running deliveries; they are tried again when their claims expire."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _begin(self, job: Job | Batch, attempt: int) -> asyncio.Task[None]:
        task = asyncio.create_task(self._attempt(job, attempt))
        self._running[task] = job
        task.add_done_callback(lambda ended: self._running.pop(ended, None))
        return task

    async def _attempt(self, job: Job | Batch, attempt: int) -> None:
        """Send the webhook of a job or a batch; drop the delivery if it is over, else schedule the next attempt."""
        bound = log.bind(job=job.id, tenant=job.tenant, attempt=attempt, host=_host(job))
        try:
            status = await self._send(job, bound)
            if 200 <= status < 300 or status == GONE or attempt >= len(self._schedule):
                bound.info("webhook finished", status=status)
                await run_in_threadpool(self._records.drop_webhook, job.id)
            else:
                bound.info("webhook will be retried", status=status)
                await run_in_threadpool(self._records.webhook_later, job.id, self._schedule[attempt])
        except redis.RedisError as error:  # the claim expires, and the delivery is tried again
            bound.warning("webhook's state not recorded", error=str(error))

    async def _send(self, job: Job | Batch, bound: structlog.typing.FilteringBoundLogger) -> int:
        """Return the status that the receiver answered; 0 without an answer."""
        assert job.webhook is not None
        try:
            body = await run_in_threadpool(message, self._records, job)
            return await deliver(job.webhook, body, f"msg_{job.id}", self._allowed)
        except AddressRefused as error:
            bound.warning("webhook refused", reason=str(error))
            return GONE
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            bound.warning("webhook not delivered", error=type(error).__name__)
        except Exception:  # noqa: BLE001 - whatever one receiver or one record causes, the others are delivered
            bound.exception("webhook not delivered")
        return 0


def _with_a_place(
    due: Iterable[Job | Batch], running: Iterable[Job | Batch]
) -> tuple[list[Job | Batch], list[Job | Batch]]:
    """Return the jobs and batches whose delivery may begin, and those that wait for the end of others."""
    begun: list[Job | Batch] = []
    waiting: list[Job | Batch] = []
    tenants, hosts, places = Counter[str](), Counter[str](), MOST
    for job in running:
        tenants[job.tenant] += 1
        hosts[_host(job)] += 1
        places -= 1
    for job in due:
        if places > 0 and tenants[job.tenant] < MOST_OF_A_TENANT and hosts[_host(job)] < MOST_TO_A_HOST:
            tenants[job.tenant] += 1
            hosts[_host(job)] += 1
            places -= 1
            begun.append(job)
        else:
            waiting.append(job)
    return begun, waiting


def _host(job: Job | Batch) -> str:
    return "" if job.webhook is None else urlsplit(job.webhook.url).hostname or ""
