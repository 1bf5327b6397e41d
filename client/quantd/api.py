"""The client for scripts: upload a model, quantize it, wait, and download the result."""

import itertools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from quantd import operations
from quantd.answers import Document
from quantd.batch import Batch
from quantd.connection import Connection
from quantd.job import Job
from quantd.models import Dataset, Model
from quantd.resumable import Progress
from quantd.sources import Source, fetch
from quantd.upload import upload

FilePath = str | os.PathLike[str]


def no_progress(sent: int, size: int) -> None:
    """Ignore the progress of an upload."""


def id_of(upload: Model | Dataset | str) -> str:
    """Return the id of an upload, or the id itself."""
    return upload if isinstance(upload, str) else upload.id


def optional_id(upload: Dataset | str | None) -> str | None:
    """Return the id of an upload; None for none."""
    return None if upload is None else id_of(upload)


class Client:
    """A client of one service, used as `with Client(url, key) as client:`.

    Requests that may be repeated are repeated for half a minute if the connection is cut, or if the service answers 429
    or 5xx.

    Raises:
        Unreachable: nothing answers at the address, or the service is not ready.
        ClientError: the service refused the request; the message is its detail.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        self._connection = Connection(url, key)

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self._connection.close()

    def upload(self, path: FilePath, progress: Progress = no_progress) -> Model:
        """Upload a model; a large upload reports its progress, and resumes one that was interrupted before."""
        return Model.of(self._connection.run(upload("model", Path(path), progress)))

    def upload_dataset(self, path: FilePath, progress: Progress = no_progress) -> Dataset:
        """Upload calibration or evaluation data, as `upload` does."""
        return Dataset.of(self._connection.run(upload("dataset", Path(path), progress)))

    def add_model(
        self, source: str, *, sha256: str | None = None, filename: str | None = None, credentials: str | None = None
    ) -> Model:
        """Let the service fetch a model, and return it at once: a job may name it while it is fetched.

        Args:
            source: the location: `https://host/path`, `s3://bucket/key`, `hf://owner/name/file` or
                `mlflow:/name/version`. The operator of the service decides which are allowed.
            sha256: the SHA-256 of the file in hexadecimal, which is verified; a file that is stored is not fetched.
            filename: the name of the file; the last part of the location if None.
            credentials: the name of credentials that the operator of the service has set up.
        """
        return Model.of(self._connection.run(fetch("model", Source(source, credentials), sha256, filename)))

    def add_dataset(
        self, source: str, *, sha256: str | None = None, filename: str | None = None, credentials: str | None = None
    ) -> Dataset:
        """Let the service fetch calibration or evaluation data, as `add_model` does."""
        return Dataset.of(self._connection.run(fetch("dataset", Source(source, credentials), sha256, filename)))

    def quantize(
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
    ) -> Job:
        """Submit a job and return it without waiting for its end.

        Args:
            model: the model, or its id.
            spec: the quantization spec, such as `{"preset": "int8"}`.
            calibration: the calibration data, or their id.
            evaluation: the evaluation data, or their id.
            tags: tags by key, by which jobs can be listed.
            priority: the priority among the tenant's own jobs, -10 to 10.
            webhook: a URL that is notified when the job ends.
            baseline: the earlier job to compare with: its id, or a tag `key:value`.
            destination: a location that the artifacts are copied to, or a mapping with `url`, `credentials` and
                `artifacts`.
            idempotency_key: a second call with the same key and arguments returns the job of the first; a new key if
                None.
        """
        flow = operations.submit(
            id_of(model), spec, calibration=optional_id(calibration), evaluation=optional_id(evaluation), tags=tags,
            priority=priority, webhook=webhook, baseline=baseline, destination=destination,
            idempotency_key=idempotency_key,
        )  # fmt: skip
        return Job(self._connection, self._connection.run(flow))

    def batch(self, body: Mapping[str, Any], idempotency_key: str | None = None) -> Batch:
        """Submit many jobs in one request and return their batch without waiting for its end.

        Args:
            body: the body of `POST /v1/batches`: `models` (ids) with `specs` and `presets`, or `jobs`, and fields for
                all of them, such as `calibration`, `evaluation`, `tags` and `baseline`.
            idempotency_key: a second call with the same key and body returns the batch of the first; a new key if None.
        """
        return Batch(self._connection, self._connection.run(operations.submit_batch(body, idempotency_key)))

    def find_batch(self, batch_id: str) -> Batch:
        """Return a batch."""
        return Batch(self._connection, self._connection.run(operations.batch(batch_id)))

    def plan(self, model: Model | str, spec: Mapping[str, Any]) -> Document:
        """Return the plan of a job: its layers, its expected size and error, and the spec to edit.

        Raises:
            JobFailed: the model cannot be planned.
        """
        return self._connection.run(operations.plan(id_of(model), spec))

    def job(self, job_id: str) -> Job:
        """Return a job."""
        return Job(self._connection, self._connection.run(operations.job(job_id)))

    def jobs(self, limit: int = 20, **filters: str | None) -> list[Job]:
        """Return the newest jobs, at most `limit`; `newest_jobs` describes the filters."""
        return list(itertools.islice(self.newest_jobs(limit, **filters), limit))

    def newest_jobs(self, page_size: int = 20, **filters: str | None) -> Iterator[Job]:
        """Yield the jobs from the newest to the oldest.

        Args:
            page_size: the number of jobs that one request asks for.
            filters: the query parameters of `GET /v1/jobs`: status, tag (`key:value`), verdict, model (an id), name (a
                part of the model's file name); None for no filter.
        """
        cursor = None
        while True:
            page = self._connection.run(operations.jobs_page(page_size, filters, cursor))
            yield from (Job(self._connection, item) for item in page["items"])
            if (cursor := page["next_cursor"]) is None:
                return

    def compare(self, job_id: str, other_id: str) -> Document:
        """Return the comparison of a baseline with another job: figures, gates, layers and specs."""
        return self._connection.run(operations.get(f"/v1/jobs/{job_id}/compare/{other_id}", ("a", "b")))
