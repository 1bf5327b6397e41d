"""Background tasks of the gateway: archive and restore records, send webhooks, delete expired records."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict

import structlog
from starlette.concurrency import run_in_threadpool

from jobs.reconciliation import Reconciliation
from jobs.reindex import Restored
from jobs.retention import collect
from service.context import Context
from service.metrics import count_restored
from service.supervision import Repeated
from service.webhooks.deliveries import Deliveries

POLL_EVERY_S = 1.0
COLLECT_EVERY_S = 3600.0

log = structlog.get_logger()


@asynccontextmanager
async def background_tasks(context: Context) -> AsyncIterator[Sequence[Repeated]]:
    """Run the tasks while the gateway serves, and give them; any number of gateways may do the same."""
    deliveries = Deliveries(context.records, context.settings.webhook_hosts)
    reconciliation = Reconciliation(context.epochs, context.restorer)

    async def archive() -> None:
        await run_in_threadpool(context.archive.catch_up, context.records)

    async def reconcile() -> None:
        restored = await run_in_threadpool(reconciliation.step)
        if restored is not None and restored != Restored():
            log.warning("restored", **asdict(restored))
            count_restored(restored)

    async def remove_expired() -> None:
        collected = await run_in_threadpool(collect, context.records, context.blobs, context.settings.retention_days)
        log.info("collected", jobs=collected.jobs, uploads=collected.uploads, blobs=collected.blobs)

    repeated = [
        Repeated("reconciliation", reconcile, POLL_EVERY_S, first_pause_s=0),
        Repeated("archive", archive, POLL_EVERY_S),
        Repeated("webhooks", deliveries.begin_due, POLL_EVERY_S),
        Repeated("retention", remove_expired, COLLECT_EVERY_S),
    ]
    tasks = [asyncio.create_task(task.run()) for task in repeated]
    try:
        yield repeated
    finally:
        reconciliation.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await deliveries.stop()
