"""Telling callers of a job's end: Standard Webhooks, sent until they are taken or the schedule is over."""

import asyncio
import ipaddress
import json
import socket
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

import httpx
import structlog
from standardwebhooks import Webhook as Signer
from starlette.concurrency import run_in_threadpool

from jobs.errors import NotFound
from jobs.job import Job, Webhook
from jobs.records import Records
from service.schemas import view

SCHEDULE_S = (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400)
"""How long after the attempt before the next one is made, as Standard Webhooks recommend; then it is given up."""
TIMEOUT_S = 15.0
GONE = 410

log = structlog.get_logger()


class Refused(Exception):
    """The address must not be called; it is not tried again."""


class Deliveries:
    """Sends what is due; every gateway may run one, each delivery is claimed by one of them."""

    def __init__(self, records: Records, allowed: Sequence[str], schedule: Sequence[float] = SCHEDULE_S) -> None:
        self._records, self._allowed, self._schedule = records, allowed, schedule

    async def send_due(self) -> int:
        """One attempt at each delivery that is due; how many there were."""
        due = await run_in_threadpool(self._records.claim_webhooks, 2 * TIMEOUT_S)
        await asyncio.gather(*(self._attempt(job_id, attempt) for job_id, attempt in due))
        return len(due)

    async def _attempt(self, job_id: str, attempt: int) -> None:
        try:
            job = await run_in_threadpool(self._records.job, job_id)
        except NotFound:  # deleted meanwhile
            return
        assert job.webhook is not None
        bound = log.bind(job=job.id, tenant=job.tenant, attempt=attempt, host=urlsplit(job.webhook.url).hostname)
        try:
            status = await deliver(job.webhook, message(job), f"msg_{job.id}", self._allowed)
        except Refused as error:
            bound.warning("webhook refused", reason=str(error))
            status = GONE
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            bound.warning("webhook not delivered", error=type(error).__name__)
            status = 0
        if 200 <= status < 300 or status == GONE or attempt >= len(self._schedule):
            bound.info("webhook done", status=status)
            await run_in_threadpool(self._records.drop_webhook, job.id)
        else:
            bound.info("webhook not taken", status=status)
            await run_in_threadpool(self._records.webhook_later, job.id, self._schedule[attempt])


def message(job: Job) -> str:
    """What is sent: the job as `GET` shows it."""
    document = {"type": f"job.{job.status}", "timestamp": job.finished_at, "data": view(job).model_dump(mode="json")}
    return json.dumps(document, separators=(",", ":"))


async def deliver(webhook: Webhook, body: str, message_id: str, allowed: Sequence[str]) -> int:
    """POST the body to the webhook's host, at an address that was looked up once and checked; the answer's status.

    A redirect is an answer like others, and nothing of the answer's body is read.

    Raises:
        Refused: the host or one of its addresses may not be called.
        httpx.HTTPError, OSError: nobody took it.
    """
    url = httpx.URL(webhook.url)
    address = await _address(url, allowed)
    sent = datetime.now(UTC)
    headers = {
        "Host": url.netloc.decode(),
        "Content-Type": "application/json",
        "User-Agent": "quantd",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(sent.timestamp())),
    }
    if webhook.secret is not None:
        headers["webhook-signature"] = Signer(webhook.secret).sign(message_id, sent, body)
    trust = ssl.create_default_context()  # the system's authorities, or those of SSL_CERT_FILE
    async with (
        httpx.AsyncClient(verify=trust, follow_redirects=False, trust_env=False, timeout=TIMEOUT_S) as client,
        asyncio.timeout(TIMEOUT_S),
        client.stream(
            "POST", url.copy_with(host=address), content=body, headers=headers, extensions={"sni_hostname": _host(url)}
        ) as response,
    ):
        return response.status_code


def check_url(url: str, allowed: Sequence[str]) -> None:
    """What can be told of a webhook's URL without looking its host up.

    Raises:
        Refused: it is no http(s) URL, names no host that is allowed, or carries credentials.
    """
    try:
        parts = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise Refused("is no URL; accepted: https://host/path") from None
    port = parts.port or 443
    if parts.scheme not in ("https", "http") or not parts.host or parts.userinfo or port > 65535:
        raise Refused("is no https URL without credentials; accepted: https://host/path")
    host = _host(parts)
    if not any(fnmatchcase(host, pattern) for pattern in allowed):
        raise Refused(f"names the host {host!r}; accepted: {', '.join(allowed) or 'none'}")
    if parts.scheme == "http" and host not in allowed:
        raise Refused("is plain http; accepted: https, or a host that the service's operator named in full")


async def _address(url: httpx.URL, allowed: Sequence[str]) -> str:
    """The one address that is called; where one of a host's addresses is private, none is, unless the host is named."""
    check_url(str(url), allowed)
    host = _host(url)
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    addresses = [str(info[4][0]) for info in found]
    private = [address for address in addresses if not _public(address)]
    if private and host not in allowed:
        raise Refused(f"{host} is at {private[0]}, which is not a public address")
    return addresses[0]


def _host(url: httpx.URL) -> str:
    """As it is looked up: in ASCII and lower case."""
    return url.raw_host.decode().lower()


def _public(address: str) -> bool:
    """Whether the address is one of the public internet's, also where a v6 address only wraps a v4 one."""
    parsed = ipaddress.ip_address(address.split("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        wrapped = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo[1] if parsed.teredo else None)
        if parsed in _NAT64:
            wrapped = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        parsed = wrapped or parsed
    return parsed.is_global and not parsed.is_multicast


_NAT64 = ipaddress.ip_network("64:ff9b::/96")
