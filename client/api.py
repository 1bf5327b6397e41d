"""A Python client of the HTTP API: upload, submit, wait, download."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from client.connection import WAIT_S, Connection, Document
from client.download import download
from client.errors import ClientError, JobFailed, Unreachable
from client.resumable import Progress
from client.upload import upload

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
        self, model: str, spec: Mapping[str, Any], calibration: str | None = None, evaluation: str | None = None
    ) -> Document:
        """Submit a job for uploaded files, named by their ids, and return the job."""
        body = {"model": model, "spec": dict(spec), "calibration": calibration, "evaluation": evaluation}
        return self._connection.json("POST", "/v1/jobs", json=body)

    def job(self, job_id: str) -> Document:
        """Return a job."""
        return self._connection.json("GET", f"/v1/jobs/{job_id}")

    def jobs(self, limit: int = 20, status: str | None = None) -> list[Document]:
        """Return the newest jobs, optionally only those with one status."""
        query = {"limit": limit} | ({"status": status} if status else {})
        items: list[Document] = self._connection.json("GET", "/v1/jobs", params=query)["items"]
        return items

    def cancel(self, job_id: str) -> Document:
        """Cancel a job and return it."""
        return self._connection.json("POST", f"/v1/jobs/{job_id}/cancel")

    def delete(self, job_id: str) -> None:
        """Delete an ended job and its artifacts."""
        self._connection.send("DELETE", f"/v1/jobs/{job_id}")

    def report(self, job_id: str) -> Document:
        """Return the report of a job."""
        return self._connection.json("GET", f"/v1/jobs/{job_id}/report")

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
        """Return the job after its end."""
        while True:
            job = self._connection.json("GET", f"/v1/jobs/{job_id}", headers={"Prefer": f"wait={WAIT_S}"})
            if job["status"] in FINAL:
                return job

    def succeeded(self, job: Document) -> Document:
        """Return the job unchanged if it has succeeded.

        Raises:
            JobFailed: it failed or was cancelled.
        """
        if job["status"] != "succeeded":
            problem = job["error"] or {"code": job["status"], "detail": "the job was cancelled"}
            raise JobFailed(f"{problem['code']}: {problem['detail']}")
        return job

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
