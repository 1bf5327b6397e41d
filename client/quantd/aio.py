"""The client for scripts in an event loop."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from quantd import operations
from quantd.answers import Document
from quantd.api import FilePath, id_of, no_progress, optional_id
from quantd.batch import AsyncBatch
from quantd.connection import AsyncConnection
from quantd.job import AsyncJob
from quantd.models import Dataset, Model
from quantd.resumable import Progress
from quantd.sources import Source, fetch
from quantd.upload import upload


class AsyncClient:
    """A client of one service, used as `async with AsyncClient(url, key) as client:`.

    Its methods have the arguments, the results and the errors of `Client`'s, and are awaited.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        self._connection = AsyncConnection(url, key)

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        await self._connection.close()

    async def upload(self, path: FilePath, progress: Progress = no_progress) -> Model:
        """Upload a model."""
        return Model.of(await self._connection.run(upload("model", Path(path), progress)))

    async def upload_dataset(self, path: FilePath, progress: Progress = no_progress) -> Dataset:
        """Upload calibration or evaluation data."""
        return Dataset.of(await self._connection.run(upload("dataset", Path(path), progress)))

    async def add_model(
        self, source: str, *, sha256: str | None = None, filename: str | None = None, credentials: str | None = None
    ) -> Model:
        """Let the service fetch a model."""
        return Model.of(await self._connection.run(fetch("model", Source(source, credentials), sha256, filename)))

    async def add_dataset(
        self, source: str, *, sha256: str | None = None, filename: str | None = None, credentials: str | None = None
    ) -> Dataset:
        """Let the service fetch calibration or evaluation data."""
        return Dataset.of(await self._connection.run(fetch("dataset", Source(source, credentials), sha256, filename)))

    async def quantize(
        self,
        model: Model | str,
        spec: Mapping[str, Any],
        *,
        calibration: Dataset | str | None = None,
        evaluation: Dataset | str | None = None,
        tags: Mapping[str, str] | None = None,
        priority: int = 0,
        webhook: str | None = None,
        baseline: str | None = None,
        destination: Mapping[str, Any] | str | None = None,
        idempotency_key: str | None = None,
    ) -> AsyncJob:
        """Submit a job and return it without waiting for its end; `Client.quantize` describes the arguments."""
        flow = operations.submit(
            id_of(model), spec, calibration=optional_id(calibration), evaluation=optional_id(evaluation), tags=tags,
            priority=priority, webhook=webhook, baseline=baseline, destination=destination,
            idempotency_key=idempotency_key,
        )  # fmt: skip
        return AsyncJob(self._connection, await self._connection.run(flow))

    async def batch(self, body: Mapping[str, Any], idempotency_key: str | None = None) -> AsyncBatch:
        """Submit many jobs in one request; `Client.batch` describes the arguments."""
        flow = operations.submit_batch(body, idempotency_key)
        return AsyncBatch(self._connection, await self._connection.run(flow))

    async def find_batch(self, batch_id: str) -> AsyncBatch:
        """Return a batch."""
        return AsyncBatch(self._connection, await self._connection.run(operations.batch(batch_id)))

    async def plan(self, model: Model | str, spec: Mapping[str, Any]) -> Document:
        """Return the plan of a job."""
        return await self._connection.run(operations.plan(id_of(model), spec))

    async def job(self, job_id: str) -> AsyncJob:
        """Return a job."""
        return AsyncJob(self._connection, await self._connection.run(operations.job(job_id)))

    async def jobs(self, limit: int = 20, **filters: str | None) -> list[AsyncJob]:
        """Return the newest jobs, at most `limit`; `Client.newest_jobs` describes the filters."""
        jobs: list[AsyncJob] = []
        async for job in self.newest_jobs(limit, **filters):
            jobs.append(job)
            if len(jobs) == limit:
                break
        return jobs

    async def newest_jobs(self, page_size: int = 20, **filters: str | None) -> AsyncIterator[AsyncJob]:
        """Yield the jobs from the newest to the oldest."""
        cursor = None
        while True:
            page = await self._connection.run(operations.jobs_page(page_size, filters, cursor))
            for item in page["items"]:
                yield AsyncJob(self._connection, item)
            if (cursor := page["next_cursor"]) is None:
                return

    async def compare(self, job_id: str, other_id: str) -> Document:
        """Return the comparison of a baseline with another job."""
        return await self._connection.run(operations.get(f"/v1/jobs/{job_id}/compare/{other_id}", ("a", "b")))
