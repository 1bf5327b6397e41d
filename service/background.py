"""Background tasks of the gateway: archive ended jobs, send webhooks, delete expired records."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import redis
import structlog
from obstore.exceptions import BaseError as StoreError
from starlette.concurrency import run_in_threadpool

from jobs.retention import collect
from service.context import Context
from service.webhooks.deliveries import Deliveries

POLL_EVERY_S = 1.0
COLLECT_EVERY_S = 3600.0

log = structlog.get_logger()


@asynccontextmanager
async def background_tasks(context: Context) -> AsyncIterator[None]:
    """Run the tasks while the gateway serves; any number of gateways may do the same."""
    deliveries = Deliveries(context.records, context.settings.webhook_hosts)

    async def archive() -> None:
        await run_in_threadpool(context.archive.catch_up, context.records)

    async def remove_expired() -> None:
        collected = await run_in_threadpool(collect, context.records, context.blobs, context.settings.retention_days)
        log.info("collected", jobs=collected.jobs, uploads=collected.uploads, blobs=collected.blobs)

    periods = {archive: POLL_EVERY_S, deliveries.send_due: POLL_EVERY_S, remove_expired: COLLECT_EVERY_S}
    tasks = [asyncio.create_task(_repeat(step, seconds)) for step, seconds in periods.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _repeat(step: Callable[[], Awaitable[object]], seconds: float) -> None:
    """Run a step again and again; an unreachable store is logged and the step is retried."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await step()
        except (redis.RedisError, StoreError, OSError) as error:
            log.warning("background task failed and will be retried", step=step.__name__, error=str(error))
