"""One webhook request: its message, its signature (Standard Webhooks) and its POST."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import httpx
from standardwebhooks import Webhook as Signer

from jobs.batch import Batch
from jobs.job import Job, Webhook
from jobs.records import Records
from jobs.remote.requests import checked_request, outside_client
from service.batches.schemas import batch_out
from service.jobs.schemas import job_out
from service.webhooks.description import BatchEnded, JobEnded

TIMEOUT_S = 15.0


def message(records: Records, ended: Job | Batch) -> str:
    """Return the body that announces an end: the job or the batch as the API shows it."""
    if isinstance(ended, Job):
        document = {"type": f"job.{ended.status}", "timestamp": ended.finished_at, "data": job_out(ended)}
        return JobEnded.model_validate(document).model_dump_json()
    data = batch_out(ended, records.jobs_of(ended))
    return BatchEnded(type="batch.ended", timestamp=ended.finished_at or "", data=data).model_dump_json()


async def deliver(webhook: Webhook, body: str, message_id: str, allowed: Sequence[str]) -> int:
    """POST the body to the webhook and return the status of the response.

    The connection goes to the IP address that was checked. Redirects are not followed and the response's body is not
    read.

    Raises:
        AddressRefused: the host or one of its addresses must not be called.
        httpx.HTTPError, OSError: the request failed.
    """
    url = httpx.URL(webhook.url)
    async with outside_client(TIMEOUT_S) as client:
        request = await checked_request(client, "POST", url, allowed, _headers(webhook, body, message_id), body)
        async with asyncio.timeout(TIMEOUT_S):
            response = await client.send(request, stream=True)
            await response.aclose()
    return response.status_code


def _headers(webhook: Webhook, body: str, message_id: str) -> dict[str, str]:
    sent = datetime.now(UTC)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(sent.timestamp())),
    }
    if webhook.secret is not None:
        headers["webhook-signature"] = Signer(webhook.secret).sign(message_id, sent, body)
    return headers
