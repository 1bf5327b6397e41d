"""A Python client of the HTTP API: upload, submit, wait, download."""

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from quantd.connection import WAIT_S, Connection, Document
from quantd.download import download
from quantd.errors import ClientError, JobFailed, Unreachable, job_failure
from quantd.resumable import Progress
from quantd.retry import retry_while_progressing
from quantd.upload import upload

FINAL = frozenset({"succeeded", "failed", "cancelled"})


def _no_progress(sent: int, size: int) -> None:
    """Ignore the progress of an upload."""


class Client:
    """A client of one service, used as `with Client(url, key) as client:`.

    Documents are dictionaries with the fields of the API.

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

    def upload_model(self, path: Path, progress: Progress = _no_progress) -> Document:
        """Upload a model and return its record; a large upload resumes and reports its progress."""
        return upload(self._connection, "model", path, progress)

    def upload_dataset(self, path: Path, progress: Progress = _no_progress) -> Document:
        """Upload a dataset and return its record; a large upload resumes and reports its progress."""
        return upload(self._connection, "dataset", path, progress)

    def submit(
        self,
        model: str,
        spec: Mapping[str, Any],
        calibration: str | None = None,
        evaluation: str | None = None,
        *,
        tags: Mapping[str, str] | None = None,
        priority: int = 0,
        webhook: str | None = None,
        idempotency_key: str | None = None,
    ) -> Document:
        """Submit a job for uploaded files, named by their ids, and return the job.

        Args:
            model: the id of the model.
            spec: the quantization spec.
            calibration: the id of the calibration dataset.
            evaluation: the id of the evaluation dataset.
            tags: tags by key, by which jobs can be listed.
            priority: the priority among the tenant's own jobs, -10 to 10.
            webhook: a URL that is notified when the job ends.
            idempotency_key: a second call with the same key and arguments returns the job of the first.
        """
        body = {
            "model": model, "spec": dict(spec), "calibration": calibration, "evaluation": evaluation,
            "tags": dict(tags or {}), "priority": priority, "webhook": {"url": webhook} if webhook else None,
        }  # fmt: skip
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return self._connection.json("POST", "/v1/jobs", json=body, headers=headers)

    def plan(self, model: str, spec: Mapping[str, Any]) -> Document:
        """Return the plan of a job for an uploaded model, named by its id, when it is ready.

        Raises:
            JobFailed: the model cannot be planned.
        """
        wait = {"Prefer": f"wait={WAIT_S}"}
        body = {"model": model, "spec": dict(spec)}
        plan = self._connection.json("POST", "/v1/plans", json=body, headers=wait)
        while plan["status"] not in FINAL:
            plan = self._connection.json("GET", plan["links"]["self"], headers=wait)
        return self.succeeded(plan)

    def job(self, job_id: str) -> Document:
        """Return a job."""
        return self._connection.json("GET", f"/v1/jobs/{job_id}")

    def jobs(self, limit: int = 20, **filters: str | None) -> list[Document]:
        """Return the newest jobs, at most `limit`; `newest_jobs` describes the filters."""
        return list(itertools.islice(self.newest_jobs(limit, **filters), limit))

    def newest_jobs(self, page_size: int = 20, **filters: str | None) -> Iterator[Document]:
        """Yield the jobs from the newest to the oldest.

        Args:
            page_size: the number of jobs that one request asks for.
            filters: the query parameters of `GET /v1/jobs`: status, tag (`key:value`), verdict, model (an id), name (a
                part of the model's file name); None for no filter.
        """
        query: dict[str, str | int] = {key: value for key, value in filters.items() if value is not None}
        query["limit"] = page_size
        while True:
            page = self._connection.json("GET", "/v1/jobs", params=query)
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            query["cursor"] = page["next_cursor"]

    def cancel(self, job_id: str) -> Document:
        """Cancel a job and return it."""
        return self._connection.json("POST", f"/v1/jobs/{job_id}/cancel")

    def delete(self, job_id: str) -> None:
        """Delete an ended job and its artifacts."""
        self._connection.send("DELETE", f"/v1/jobs/{job_id}")

    def report(self, job_id: str) -> Document:
        """Return the report of a job."""
        return self._connection.json("GET", f"/v1/jobs/{job_id}/report")

    def report_page(self, job_id: str) -> bytes:
        """Return the report of a job as one self-contained page."""
        return self._connection.send("GET", f"/v1/jobs/{job_id}/report.html").content

    def compare(self, job_id: str, other_id: str) -> Document:
        """Return the comparison of two jobs."""
        return self._connection.json("GET", f"/v1/jobs/{job_id}/compare/{other_id}")

    def follow(self, job_id: str) -> Iterator[Document]:
        """Yield the job's events until its end, or until the connection breaks.

        `event` is `progress` (with stage, done, total, message), `log` (with level, message) or `state` (with status).
        """
        try:
            with self._connection.stream(f"/v1/jobs/{job_id}/events") as response:
                kind = ""
                for line in response.iter_lines():
                    if line.startswith("event:"):
                        kind = line.removeprefix("event:").strip()
                    elif line.startswith("data:"):
                        yield {"event": kind, **json.loads(line.removeprefix("data:"))}
        except Unreachable:
            return  # `wait` finds out how the job ends

    def wait(self, job_id: str) -> Document:
        """Return the job after its end; an interrupted connection is tried again."""
        wait = {"Prefer": f"wait={WAIT_S}"}
        while True:
            job = retry_while_progressing(
                lambda: self._connection.json("GET", f"/v1/jobs/{job_id}", headers=wait), lambda: 0
            )
            if job["status"] in FINAL:
                return job

    def succeeded(self, job: Document) -> Document:
        """Return the job unchanged if it has succeeded.

        Raises:
            JobFailed: it failed or was cancelled.
            ClientError: it failed because of its spec.
        """
        if job["status"] == "succeeded":
            return job
        if job["error"]:
            raise job_failure(job["error"], job["id"])
        raise JobFailed(f"job {job['id']} was cancelled", {"code": "job.cancelled", "job": job["id"]})

    def artifacts(self, job_id: str) -> list[Document]:
        """Return name, size, SHA-256, media type and URL of each artifact of a job."""
        items: list[Document] = self._connection.json("GET", f"/v1/jobs/{job_id}/artifacts")["items"]
        return items

    def download(self, job_id: str, name: str, path: Path) -> None:
        """Download one artifact to a file; the file is unchanged unless the download succeeds.

        Raises:
            ClientError: the job has no artifact with this name, or other bytes arrived than the job produced.
        """
        digests = {item["name"]: item["sha256"] for item in self.artifacts(job_id)}
        if name not in digests:
            raise ClientError(f"job {job_id} has no artifact {name}; it has {', '.join(digests)}")
        download(self._connection, f"/v1/jobs/{job_id}/artifacts/{name}", digests[name], path)

    def read_artifact(self, job_id: str, name: str) -> bytes:
        """Return the bytes of one small artifact."""
        return self._connection.send("GET", f"/v1/jobs/{job_id}/artifacts/{name}").content
