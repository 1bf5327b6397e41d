"""Fetches of models and datasets from sources outside the service, in threads of their own beside those of jobs."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import redis
import structlog
from kombu.exceptions import OperationalError
from obstore.exceptions import BaseError as StoreError

from jobs.archive import Archive
from jobs.blobs import Blobs, Stored
from jobs.errors import NotFound, RemoteFailed
from jobs.job import Fetch, Job, Upload
from jobs.records import Records
from jobs.remote.locations import Location, check_allowed, parse_location
from jobs.settings import Settings
from jobs.uploads.contents import describe, head_check, size_limit
from quant.errors import QuantdError
from worker.lease import Lease
from worker.patience import patiently
from worker.remote.credentials import CredentialStore
from worker.remote.http import MayPass, download
from worker.remote.targets import Resolver

AT_A_TIME = 2
"""The fetches that one worker runs at the same time."""
WAIT_S = 0.5
"""The pause between two looks for a waiting fetch."""
PAUSES_S = (1.0, 5.0)
"""The pauses before a fetch is tried again after a failure that may pass."""

log = structlog.get_logger()


class Fetcher:
    """Fetches of one worker, into one object store."""

    def __init__(self, settings: Settings, records: Records, blobs: Blobs) -> None:
        self._settings, self._records, self._blobs = settings, records, blobs
        self._archive = Archive(blobs)
        self._credentials = CredentialStore(settings.credentials_file)
        self._resolver = Resolver(settings, settings.sources)

    def run(self, job: Job, lease: Lease) -> None:
        """Fetch the bytes and record the upload.

        Raises:
            QuantdError: the file is not fetched, or cannot be used; nothing stays stored.
            Cancelled, Lost: the fetch must stop.
        """
        assert job.fetch is not None
        location = parse_location(job.fetch.source, "source")
        if not self._is_recorded(job, job.fetch):
            self._record(job, job.fetch, location, self._stored(job, location, lease))

    def _is_recorded(self, job: Job, fetch: Fetch) -> bool:
        """Return True if an earlier attempt was killed after it had recorded the upload."""
        try:
            patiently(lambda: self._records.upload(fetch.kind, job.id))
        except NotFound:
            return False
        return True

    def _stored(self, job: Job, location: Location, lease: Lease) -> Stored:
        """Fetch the bytes; repeat that after failures that may pass."""
        for pause_s in PAUSES_S:
            try:
                return asyncio.run(self._store(job, location, lease))
            except MayPass as error:
                log.warning("fetch will be repeated", upload=job.id, tenant=job.tenant, reason=error.detail)
            lease.wait(pause_s)
        return asyncio.run(self._store(job, location, lease))

    async def _store(self, job: Job, location: Location, lease: Lease) -> Stored:
        """Stream the source to the object store, with the checks of an upload."""
        assert job.fetch is not None
        kind, limit = job.fetch.kind, size_limit(self._settings, job.fetch.kind)
        check_allowed(location, self._settings.sources, "source")
        credentials = self._credentials.find(job.fetch.credentials, location, job.tenant)
        try:
            async with asyncio.timeout(self._settings.fetch_timeout_s):
                target = await self._resolver.source(location, credentials)
                chunks = _checked(download(target, limit), lease)
                return await self._blobs.write(_key(job), chunks, head_check(kind), limit, job.fetch.sha256)
        except StoreError as error:
            log.warning("the object store did not take a file", upload=job.id, error=str(error))
            raise MayPass("the object store of the service did not take the file; try again later") from None
        except TimeoutError:
            raise RemoteFailed(
                f"the fetch took longer than {self._settings.fetch_timeout_s:.0f} s; accepted: a faster source"
            ) from None

    def _record(self, job: Job, fetch: Fetch, location: Location, stored: Stored) -> None:
        """Record the stored bytes as an upload.

        Raises:
            QuantdError: they cannot be used, or a quota is used up; nothing stays stored.
        """
        limit = size_limit(self._settings, fetch.kind)
        try:
            description = describe(self._blobs, fetch.kind, _key(job), stored, limit)
            upload = Upload(
                id=job.id, tenant=job.tenant, key=_key(job), sha256=stored.sha256, size=stored.size,
                filename=fetch.filename, created_at=job.created_at, api_key=job.api_key, source=location.shown,
                **description,
            )  # fmt: skip
            patiently(lambda: self._archive.put_upload(upload))
            try:
                patiently(lambda: self._records.add_fetched(fetch.kind, upload, fetch.stored_limit))
            except QuantdError:
                self._archive.drop_upload(upload)
                raise
        except QuantdError:
            self._blobs.delete(_key(job))
            raise


def run_fetches(next_fetch: Callable[[], list[str]], send: Callable[[str], None], stopped: threading.Event) -> None:
    """Run one waiting fetch after the other until the worker stops.

    Args:
        next_fetch: runs the fetch whose turn it is, if one waits, and returns the ids of the jobs that waited for it.
        send: sends the message that a job waits for a worker.
        stopped: set when the worker stops.
    """
    while not stopped.wait(WAIT_S):
        try:
            for job_id in next_fetch():
                send(job_id)
        except (redis.RedisError, OperationalError) as error:  # the messages of waiting jobs are sent again
            log.warning("the record store or the queue is unavailable", error=str(error))
        except Exception:  # the thread must outlive a failed fetch, as those of jobs do
            log.exception("fetch failed")


async def _checked(chunks: AsyncIterator[bytes], lease: Lease) -> AsyncIterator[bytes]:
    """Yield the chunks while the fetch may go on."""
    async for chunk in chunks:
        lease.check()
        yield chunk


def _key(job: Job) -> str:
    assert job.fetch is not None
    return f"{job.tenant}/{job.fetch.kind}s/{job.id}"
