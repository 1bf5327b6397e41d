"""A small client of the HTTP API: upload, submit, wait, download."""

import base64
import hashlib
import json
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import httpx

from client.errors import ClientError, JobFailed, Unreachable
from client.resuming import LEAST, File, Resumable, Told, insist

PARTIAL = 206
WAIT_S = 30
FINAL = frozenset({"succeeded", "failed", "cancelled"})
Document = dict[str, Any]


class Client:
    """`with Client(url, key) as client:`; documents come and go as CONTRACT writes them.

    Raises:
        Unreachable: nothing answers at the address, or it says that it is not ready.
        ClientError: the service refused; its detail is the message.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        if key and not (key.isascii() and key.isprintable()):
            raise Unreachable("the API key has characters that no key has; set QUANTD_API_KEY to qd_...")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._url = url
        try:
            self._http = httpx.Client(base_url=url, headers=headers, timeout=httpx.Timeout(30, read=WAIT_S + 30))
        except (httpx.InvalidURL, ValueError) as error:
            raise Unreachable(f"{url!r} is no address ({error}); set QUANTD_URL to http://host:port") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def upload_model(self, path: Path, told: Told = lambda sent, size: None) -> Document:
        """Upload a model; a large one goes on where it was cut off, and `told` hears how far it is."""
        return self._upload("model", path, told)

    def upload_dataset(self, path: Path, told: Told = lambda sent, size: None) -> Document:
        """As `upload_model`."""
        return self._upload("dataset", path, told)

    def submit(
        self, model: str, spec: Mapping[str, Any], calibration: str | None = None, evaluation: str | None = None
    ) -> Document:
        body = {"model": model, "spec": dict(spec), "calibration": calibration, "evaluation": evaluation}
        return self._json("POST", "/v1/jobs", json=body)

    def job(self, job_id: str) -> Document:
        return self._json("GET", f"/v1/jobs/{job_id}")

    def jobs(self, limit: int = 20, status: str | None = None) -> list[Document]:
        query = {"limit": limit} | ({"status": status} if status else {})
        items: list[Document] = self._json("GET", "/v1/jobs", params=query)["items"]
        return items

    def cancel(self, job_id: str) -> Document:
        return self._json("POST", f"/v1/jobs/{job_id}/cancel")

    def delete(self, job_id: str) -> None:
        self._send("DELETE", f"/v1/jobs/{job_id}")

    def report(self, job_id: str) -> Document:
        return self._json("GET", f"/v1/jobs/{job_id}/report")

    def follow(self, job_id: str) -> Iterator[Document]:
        """The job's events as they come, until its end: `event` is `progress` (with stage, done, total, message),
        `log` (with level, message) or `state` (with status)."""
        try:
            with self._http.stream("GET", f"/v1/jobs/{job_id}/events") as response:
                self._check(response)
                kind = ""
                for line in response.iter_lines():
                    if line.startswith("event:"):
                        kind = line.removeprefix("event:").strip()
                    elif line.startswith("data:"):
                        yield {"event": kind, **json.loads(line.removeprefix("data:"))}
        except (httpx.TransportError, httpx.InvalidURL):
            return  # the record tells how the job ends

    def wait(self, job_id: str) -> Document:
        """The job after its end."""
        while True:
            job = self._json("GET", f"/v1/jobs/{job_id}", headers={"Prefer": f"wait={WAIT_S}"})
            if job["status"] in FINAL:
                return job

    def succeeded(self, job: Document) -> Document:
        """The same job.

        Raises:
            JobFailed: it failed or was cancelled.
        """
        if job["status"] != "succeeded":
            problem = job["error"] or {"code": job["status"], "detail": "the job was cancelled"}
            raise JobFailed(f"{problem['code']}: {problem['detail']}")
        return job

    def artifacts(self, job_id: str) -> list[Document]:
        items: list[Document] = self._json("GET", f"/v1/jobs/{job_id}/artifacts")["items"]
        return items

    def download(self, job_id: str, name: str, path: Path) -> None:
        """Write one artifact to a file, whole or not at all; where it is cut off, it goes on from there.

        Raises:
            ClientError: the job has none of this name, or the bytes that came are not those that it made.
        """
        items = self.artifacts(job_id)
        expected = next((item["sha256"] for item in items if item["name"] == name), None)
        if expected is None:
            raise ClientError(f"job {job_id} has no {name}; it has {', '.join(item['name'] for item in items)}")
        part = path.with_name(path.name + ".part")
        try:
            with part.open("w+b") as file:
                insist(lambda: self._fetch(f"/v1/jobs/{job_id}/artifacts/{name}", file), file.tell)
                file.seek(0)
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != expected:
                raise ClientError(f"{name} arrived with the sha-256 {found}, not {expected}; download it again")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _fetch(self, url: str, file: BinaryIO) -> None:
        """Write the rest of what a GET answers to a file, from the store itself where it is sent there."""
        rest = {"Range": f"bytes={file.tell()}-"} if file.tell() else {}
        try:
            with self._http.stream("GET", url, headers=rest, follow_redirects=True) as response:
                self._check(response)
                if response.status_code != PARTIAL:
                    file.seek(0)
                for chunk in response.iter_bytes():  # as they come: what was read of a larger one would be lost
                    file.write(chunk)
        except httpx.TransportError as error:
            raise self._unreachable(error) from None

    def _upload(self, kind: str, path: Path, told: Told) -> Document:
        try:
            with path.open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256")
                size = stream.tell()
                if size >= LEAST:
                    file = File(kind, path, size, sha256.hexdigest())
                    return self._json("GET", Resumable(self._send, file, told).run())
                stream.seek(0)
                headers = {"Repr-Digest": _digest_header(sha256.digest()), "Content-Type": "application/octet-stream"}
                query = {"filename": path.name}
                return self._json("POST", f"/v1/{kind}s", content=stream, headers=headers, params=query)
        except OSError as error:
            raise ClientError(f"{path}: {error.strerror}") from None

    def _json(self, method: str, path: str, **options: Any) -> Document:
        document: Document = self._send(method, path, **options).json()
        return document

    def _send(self, method: str, path: str, also: Container[int] = (), **options: Any) -> httpx.Response:
        """The answer, if it is a success or one of `also`."""
        try:
            response = self._http.request(method, path, **options)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from None
        if response.status_code not in also:
            self._check(response)
        return response

    def _check(self, response: httpx.Response) -> None:
        if response.is_success:
            return
        response.read()
        try:
            detail = response.json()["detail"]
        except (ValueError, KeyError, TypeError):
            detail = f"{response.request.method} {response.request.url.path} answered {response.status_code}"
        raise Unreachable(detail) if response.status_code == 503 else ClientError(detail)

    def _unreachable(self, error: Exception) -> Unreachable:
        return Unreachable(f"no service answers at {self._url} ({error}); start one with `quantd up` or set QUANTD_URL")


def _digest_header(sha256: bytes) -> str:
    return f"sha-256=:{base64.b64encode(sha256).decode()}:"
