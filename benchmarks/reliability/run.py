"""One run: a deployment, three tenants, faults from a seed, and an audit of everything that was promised."""

import math
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
from standardwebhooks import Webhook, WebhookVerificationError

import jobs.retention
from benchmarks.reliability.faults import Faults
from benchmarks.reliability.history import FINAL, Answer, History, Notified, Result, Used
from benchmarks.reliability.site import Site, wait_for
from benchmarks.reliability.tenants import SECRET, VARIANTS, Tenant
from jobs.blobs import PING, Blobs
from jobs.errors import NotFound
from jobs.keys import Keys, Scope
from jobs.records import Records
from jobs.redis_keys import USAGE_BYTES, USAGE_JOBS

TENANTS = ("red", "green", "blue")
PROBE_EVERY_S, PROBE_ANSWERS_WITHIN_S = 1.0, 10.0
READY_EVERY_S = 4.0
"""A ready gateway is asked this often, since each answer costs it a write to both stores; others every second."""
WEBHOOKS_WITHIN_S, REFERENCE_WITHIN_S = 120.0, 180.0


def run(folder: Path, jobs_of_run: int, seed: int, every_s: float, until: float = math.inf) -> History:
    """Return the history of `jobs_of_run` jobs under faults that begin every `every_s` seconds in the mean.

    After `until` seconds no more jobs are submitted.
    """
    history, choose = History(), random.Random(seed)
    with Site(folder) as site, _receiver(history) as (hook, receiver):
        os.environ.update({name: value for name, value in site.environment.items() if name.startswith("AWS_")})
        blobs = Blobs(site.store_url)
        tenants, keys = _tenants(site, blobs, history, _clock())
        for tenant in tenants:
            tenant.upload_files()
        _refer(tenants[0], history)
        history.records.clear()
        clock = receiver.clock = _clock()
        for tenant in tenants:
            tenant.restart(clock)
        with _probes(site, history, clock), ThreadPoolExecutor(len(tenants)) as threads:
            lives = [
                threads.submit(
                    tenant.live, range(number, jobs_of_run, len(tenants)), seed,
                    [other for other in tenants if other is not tenant], hook, until,
                )
                for number, tenant in enumerate(tenants)
            ]  # fmt: skip
            Faults(site, history, choose, clock, every_s).run(lambda: not all(life.done() for life in lives))
            site.wait_ready()
            _raise_errors(lives)
        _audit(site, tenants, keys, blobs, history)
    return history


def _clock() -> Callable[[], float]:
    began = time.monotonic()
    return lambda: time.monotonic() - began


def _raise_errors(lives: list["Future[None]"]) -> None:
    for life in lives:
        life.result()


def _tenants(
    site: Site, blobs: Blobs, history: History, clock: Callable[[], float]
) -> tuple[list[Tenant], dict[str, str]]:
    """Return the tenants, and the ids of their keys by their names."""
    keys, tenants, ids = Keys(site.redis_url, blobs), [], {}
    for name in TENANTS:
        key, text = keys.create(name, "chaos", tuple(Scope))
        tenants.append(Tenant(name, text, site.gateways, history, clock))
        ids[name] = key.id
    return tenants, ids


def _refer(tenant: Tenant, history: History) -> None:
    """Run each variant once without faults, and keep what came of it."""
    for variant in VARIANTS:
        job = tenant.submit(f"reference {variant}", variant, None, {})
        wait_for(partial(_has_ended, tenant, job), f"the job {variant!r}", REFERENCE_WITHIN_S)
        history.references[variant] = tenant.result(job)


def _has_ended(tenant: Tenant, job: str) -> bool:
    document = tenant.look(job, {"Prefer": "wait=10"})
    return document is not None and document["status"] in FINAL


@contextmanager
def _probes(site: Site, history: History, clock: Callable[[], float]) -> Iterator[None]:
    """Ask each gateway whether it lives and whether it is ready, all the time."""
    ended = threading.Event()

    def probe(gateway: str, url: str, operation: str) -> None:
        with httpx.Client(base_url=url, timeout=PROBE_ANSWERS_WITHIN_S) as client:
            pause_s = PROBE_EVERY_S
            while not ended.wait(pause_s):
                sent, status, detail, retry = clock(), None, "", False
                try:
                    answer = client.get(f"/{operation}")
                    status, retry = answer.status_code, "retry-after" in answer.headers
                    detail = "" if status == 200 else answer.json()["detail"]
                except httpx.HTTPError as error:
                    detail = type(error).__name__
                history.add(Answer(sent, clock(), gateway, operation, gateway, status, retry, detail))
                pause_s = READY_EVERY_S if (operation, status) == ("readyz", 200) else PROBE_EVERY_S

    threads = [
        threading.Thread(target=probe, args=(gateway, url, operation))
        for gateway, url in site.gateways.items()
        for operation in ("livez", "readyz")
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


class _Receiver(ThreadingHTTPServer):
    """A receiver of webhooks that checks their signatures."""

    history: History
    clock: Callable[[], float]


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, _Receiver)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        signed = True
        try:
            document = Webhook(SECRET).verify(body, {name.lower(): value for name, value in self.headers.items()})
        except WebhookVerificationError:
            signed, document = False, {"data": {"id": "", "status": ""}}
        server.history.add(Notified(server.clock(), document["data"]["id"], document["data"]["status"], signed))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        return


@contextmanager
def _receiver(history: History) -> Iterator[tuple[str, _Receiver]]:
    with _Receiver(("127.0.0.1", 0), _Handler) as server:
        server.history, server.clock = history, _clock()
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", server
        server.shutdown()


# After the faults


def _audit(site: Site, tenants: list[Tenant], keys: dict[str, str], blobs: Blobs, history: History) -> None:
    """Record what became of every job and upload, of the quotas and of the blobs; then delete everything."""
    with ThreadPoolExecutor(len(tenants)) as threads:
        list(threads.map(Tenant.check_all, tenants))
    _await_webhooks(history)
    records = Records(site.redis_url)
    history.add(*(_used(site, tenant, keys[tenant.name], "after the run") for tenant in tenants))
    jobs.retention.ORPHANED_S = 0
    jobs.retention.collect(records, blobs, math.inf)
    history.orphans += [key for key in blobs.keys("") if not _is_named(records, key)]
    with ThreadPoolExecutor(len(tenants)) as threads:
        list(threads.map(Tenant.delete_all, tenants))
    history.add(*(_used(site, tenant, keys[tenant.name], "after deletion") for tenant in tenants))
    jobs.retention.collect(records, blobs, math.inf)
    left = [key for key in blobs.keys("") if not _is_of_service(key)]
    history.orphans += [f"{key} after deletion" for key in left if key not in history.orphans]


def _await_webhooks(history: History) -> None:
    """Wait for the webhooks of all ended jobs, as long as it is worth it."""
    ended = {result.job for result in history.of(Result) if result.state in FINAL} & history.webhooks
    deadline = time.monotonic() + WEBHOOKS_WITHIN_S
    while time.monotonic() < deadline and not ended <= {note.job for note in history.of(Notified)}:
        time.sleep(0.5)


def _used(site: Site, tenant: Tenant, key: str, when: str) -> Used:
    """Return what the service counts for a tenant's key, beside the bytes of what the tenant sees."""
    with site.redis() as primary:
        open_jobs, stored = (int(primary.hget(name, key) or 0) for name in (USAGE_JOBS, USAGE_BYTES))
    return Used(tenant.name, when, open_jobs, stored, tenant.stored_bytes())


def _is_of_service(key: str) -> bool:
    """Return True for what the service itself stores: keys, the journal, the epoch, and what readiness checks write."""
    return key.startswith("_") or key == PING


def _is_named(records: Records, key: str) -> bool:
    """Return True if a blob belongs to a record, or needs none."""
    parts = key.split("/")
    if _is_of_service(key):
        return True
    try:
        if parts[1] == "jobs":
            records.job(parts[2])
        else:
            records.upload("model" if parts[1] == "models" else "dataset", parts[2].removesuffix(".json"))
    except NotFound:
        return False
    return True
