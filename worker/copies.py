"""Copies of the artifacts of jobs to their destinations, in a thread of their own; the job has ended before.

A copy that fails is tried again on a schedule. Whatever comes of it, the job keeps its result.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Sequence

import redis
import structlog

from jobs.archive import Archive
from jobs.blobs import Blobs
from jobs.errors import NotFound, RemoteFailed
from jobs.http_status import problem_of
from jobs.job import Artifact, Destination, Job
from jobs.records import Records
from jobs.remote.locations import Location, check_allowed, parse_location
from jobs.settings import Settings
from quant.errors import QuantdError
from quant.outcome.artifacts import MODEL
from worker.patience import patiently
from worker.remote.credentials import CredentialStore
from worker.remote.http import upload
from worker.remote.targets import Resolver

SCHEDULE_S = (5.0, 60.0, 300.0, 1800.0, 7200.0, 21_600.0, 43_200.0)
"""The seconds between an attempt and the next; after the last one the copy has failed."""
WAIT_S = 0.5
"""The pause between two looks for a copy that is due."""
LEASE_S = 60.0
"""Another worker takes the copy of a worker that did not renew its lease for this long."""

log = structlog.get_logger()


class Copier:
    """The copies of one worker, from one object store."""

    def __init__(self, settings: Settings, schedule: Sequence[float] = SCHEDULE_S) -> None:
        self._settings, self._schedule = settings, schedule
        self._records = Records(settings.redis_url, settings.lease_s)
        self._blobs = Blobs(settings.store_url)
        self._archive = Archive(self._blobs)
        self._credentials = CredentialStore(settings.credentials_file)
        self._resolver = Resolver(settings, settings.destinations)

    def run_next(self) -> bool:
        """Make one attempt at the copy that is due first; return False if none is due."""
        job = self._records.claim_copy(LEASE_S)
        if job is None or job.destination is None:
            return False
        bound = log.bind(job=job.id, tenant=job.tenant, attempt=job.destination.attempts + 1)
        try:
            asyncio.run(self._copy(job, job.destination))
        except QuantdError as error:
            bound.warning("artifacts not copied", reason=error.detail)
            self._record(job, self._after_failure(job.destination, error))
        except Exception:  # noqa: BLE001 - whatever one copy causes, it counts as an attempt and others go on
            bound.exception("artifacts not copied")
            failure = RemoteFailed("the artifacts could not be read or sent; the worker's log has the reason")
            self._record(job, self._after_failure(job.destination, failure))
        else:
            bound.info("artifacts copied")
            self._record(job, self._ended(job.destination, "copied", job.destination.attempts + 1))
        return True

    async def _copy(self, job: Job, destination: Destination) -> None:
        """Copy the artifacts that the destination asks for, one after the other.

        Raises:
            QuantdError: the destination is not allowed, or took one of them not.
        """
        location = parse_location(destination.url, "destination")
        check_allowed(location, self._settings.destinations, "destination")
        credentials = self._credentials.find(destination.credentials, location, job.tenant)
        renewal = asyncio.create_task(self._renew(job.id))
        try:
            for artifact in chosen_artifacts(job, destination, location):
                async with asyncio.timeout(self._settings.fetch_timeout_s):
                    target = await self._resolver.destination(location, artifact.name, credentials)
                    await upload(target, self._bytes(artifact), artifact.size)
        except TimeoutError:
            limit = f"{self._settings.fetch_timeout_s:.0f} s"
            raise RemoteFailed(f"the copy of an artifact took longer than {limit}; accepted: less") from None
        finally:
            renewal.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewal

    async def _bytes(self, artifact: Artifact) -> AsyncIterator[bytes]:
        if artifact.size:
            async for chunk in self._blobs.stream(artifact.key, 0, artifact.size):
                yield chunk

    async def _renew(self, job_id: str) -> None:
        """Renew the lease of a copy until this task is cancelled."""
        while True:
            await asyncio.sleep(LEASE_S / 4)
            with contextlib.suppress(redis.RedisError):
                await asyncio.to_thread(self._records.copy_later, job_id, LEASE_S)

    def _after_failure(self, destination: Destination, error: QuantdError) -> Destination:
        """Return the state of a copy after a failed attempt."""
        attempts = destination.attempts + 1
        failed = {"error": problem_of(error), "attempts": attempts, "status": "retrying"}
        if attempts <= len(self._schedule):
            return destination.model_copy(update=failed)
        return self._ended(destination.model_copy(update=failed), "failed", attempts)

    def _ended(self, destination: Destination, status: str, attempts: int) -> Destination:
        """Return the state of a copy after its end, without secrets of its URL."""
        shown = parse_location(destination.url, "destination").shown
        error = destination.error if status == "failed" else None
        ended = {"url": shown, "status": status, "attempts": attempts, "error": error}
        return destination.model_copy(update={**ended, "finished_at": self._records.now()})

    def _record(self, job: Job, destination: Destination) -> None:
        """Record the state of a copy in Redis and in the job's document, and schedule its next attempt."""

        def record() -> None:
            self._records.record_copy(job, destination)
            if destination.finished_at is None:
                self._records.copy_later(job.id, self._schedule[destination.attempts - 1])
            else:
                self._records.drop_copy(job.id)
            with contextlib.suppress(NotFound):  # it was deleted meanwhile
                self._archive.put_job(self._records.job(job.id))

        patiently(record)


def chosen_artifacts(job: Job, destination: Destination, location: Location) -> list[Artifact]:
    """Return the artifacts that a destination gets: those that it names, or all of them.

    The URL of a single object gets the model alone, if the destination names no other artifact.

    Raises:
        RemoteFailed: the job has no artifact of a name.
    """
    names = destination.artifacts or ((MODEL.name,) if location.is_object else None)
    artifacts = {artifact.name: artifact for artifact in job.artifacts}
    if names is None:
        return list(artifacts.values())
    if absent := [name for name in names if name not in artifacts]:
        raise RemoteFailed(f"the job has no artifact {', '.join(absent)}; accepted: {', '.join(artifacts)}")
    return [artifacts[name] for name in names]


def run_copies(copier: Copier, stopped: threading.Event) -> None:
    """Make one attempt after the other at the copies that are due, until the worker stops."""
    while not stopped.is_set():
        try:
            if not copier.run_next():
                stopped.wait(WAIT_S)
        except redis.RedisError as error:
            log.warning("the record store is unavailable", error=str(error))
            stopped.wait(WAIT_S)
        except Exception:  # the thread must outlive a failed copy
            log.exception("copy failed")
            stopped.wait(WAIT_S)
