"""Resumable uploads of large files by tus 1.0.

An interrupted upload continues in the same run of the command and in the next one. The service keeps it for a day and
finds it by an idempotency key that is derived from the file, so that nothing is stored on this side.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from quantd.answers import header_of
from quantd.errors import Unreachable
from quantd.retry import request, retry
from quantd.steps import Flow, Send

PART_BYTES = 64 << 20
"""The size of one request: the most that is lost if a gateway is killed."""
CHUNK_BYTES = 1 << 20
COMPLETION_S = 600.0
"""The time limit of the last request: the service then reads the whole file."""
CONFLICT = 409
TUS: Mapping[str, str] = {"Tus-Resumable": "1.0.0"}

Progress = Callable[[int, int], object]
"""Called with the bytes sent and the size of the file."""


@dataclass(frozen=True)
class FileToUpload:
    """A file; `kind` is `model` or `dataset`, `size` is in bytes, `sha256` in hexadecimal."""

    kind: str
    path: Path
    size: int
    sha256: str

    @property
    def headers(self) -> dict[str, str]:
        """The headers that begin the file's upload, or find the one that was begun before."""
        values = {"kind": self.kind, "filename": self.path.name, "sha256": self.sha256}
        metadata = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items())
        key = hashlib.sha256(metadata.encode()).hexdigest()
        return {"Upload-Length": str(self.size), "Upload-Metadata": metadata, "Idempotency-Key": f"upload-{key}"}


class ResumableUpload:
    """The upload of one file."""

    def __init__(self, file: FileToUpload, progress: Progress) -> None:
        self._file, self._progress = file, progress
        self._offset = 0

    def run(self) -> Flow[str]:
        """Send the bytes that the service lacks and return the URL of the resulting model or dataset.

        Raises:
            Unreachable: the service stopped answering; the bytes that arrived are kept for the next run.
            ClientError: the service refused the file.
        """
        begun = yield from request("POST", "/v1/uploads", accept=(CONFLICT,), headers={**TUS, **self._file.headers})
        url = header_of(begun, "Location")
        return (yield from retry(lambda: self._send_rest(url), lambda: self._offset))

    def _send_rest(self, url: str) -> Flow[str]:
        """Send the bytes from the service's offset to the end of the file."""
        state = yield Send("HEAD", url, (CONFLICT,), options={"headers": TUS})
        while (result := state.headers.get("Content-Location")) is None:
            offset = int(header_of(state, "Upload-Offset"))
            self._offset = max(self._offset, offset)
            headers = {**TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
            options = {"headers": headers, "timeout": httpx.Timeout(30, read=COMPLETION_S)}
            state = yield Send("PATCH", url, (CONFLICT,), partial(self._part, offset), options)
            if state.status_code == CONFLICT:
                raise Unreachable("another request continues this upload")
        self._progress(self._file.size, self._file.size)
        return str(result)

    def _part(self, offset: int) -> Iterator[bytes]:
        """Yield the bytes of one request in chunks."""
        stop = min(offset + PART_BYTES, self._file.size)
        with self._file.path.open("rb") as file:
            file.seek(offset)
            while (chunk := file.read(min(CHUNK_BYTES, stop - offset))) and offset < stop:
                yield chunk
                offset += len(chunk)
                self._progress(offset, self._file.size)
