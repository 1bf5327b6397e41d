"""What goes on where it was cut off; large uploads, by tus 1.0, in the next run of the command as well.

The service keeps what came of one for a day. It is found again by an idempotency key that the file itself gives:
nothing is written here.
"""

import base64
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx

from client.errors import Unreachable

LEAST = 16 << 20
"""Bytes of a file below which a cut costs less than this does."""
PART = 64 << 20
"""Bytes of one request: what a gateway that is killed loses at most."""
CHUNK = 1 << 20
PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""How long to wait after each failure, while nothing more arrives; then it is given up."""
JOINING_S = 600.0
"""How long the last answer may take: the service reads all of a large file."""
CONFLICT = 409
TUS: Mapping[str, str] = {"Tus-Resumable": "1.0.0"}

Result = TypeVar("Result")
Told = Callable[[int, int], object]
"""Called with the bytes that were sent and those that there are."""


def insist(attempt: Callable[[], Result], arrived: Callable[[], int]) -> Result:
    """What `attempt` gives; where it is cut off it is made again, with pauses that begin anew when more has arrived.

    Raises:
        Unreachable: nothing more arrived for half a minute.
    """
    failures = 0
    while True:
        before = arrived()
        try:
            return attempt()
        except Unreachable:
            failures = 1 if arrived() > before else failures + 1
            if failures > len(PAUSES_S):
                raise
        time.sleep(PAUSES_S[failures - 1])


@dataclass(frozen=True)
class File:
    """What is uploaded: `kind` is `model` or `dataset`, the digest is in hexadecimal."""

    kind: str
    path: Path
    size: int
    sha256: str

    @property
    def headers(self) -> dict[str, str]:
        """Those that begin its upload, or find one that was begun."""
        said = {"kind": self.kind, "filename": self.path.name, "sha256": self.sha256}
        metadata = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in said.items())
        key = hashlib.sha256(metadata.encode()).hexdigest()
        return {"Upload-Length": str(self.size), "Upload-Metadata": metadata, "Idempotency-Key": f"upload-{key}"}


class Resumable:
    """The upload of a file; `send(method, path, also=(status, ...), **options)` raises for all failures but these."""

    def __init__(self, send: Callable[..., httpx.Response], file: File, told: Told) -> None:
        self._send, self._file, self._told = send, file, told
        self._arrived = 0

    def run(self) -> str:
        """Send what is not there yet; where the service then has the model or dataset.

        Raises:
            Unreachable: the service stayed away, or was not there to begin with; what has arrived is kept.
            ClientError: it refused the file.
        """
        place = self._request("POST", "/v1/uploads", headers=self._file.headers).headers["Location"]
        return insist(lambda: self._go_on(place), lambda: self._arrived)

    def _go_on(self, place: str) -> str:
        """From where the service is, to the end."""
        state = self._request("HEAD", place)
        while (result := state.headers.get("Content-Location")) is None:
            offset = int(state.headers["Upload-Offset"])
            self._arrived = max(self._arrived, offset)
            state = self._request(
                "PATCH", place, content=self._part(offset), timeout=httpx.Timeout(30, read=JOINING_S),
                headers={"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"},
            )  # fmt: skip
            if state.status_code == CONFLICT:
                raise Unreachable("another request goes on with this upload")
        self._told(self._file.size, self._file.size)
        return str(result)

    def _request(self, method: str, path: str, headers: Mapping[str, str] = TUS, **options: object) -> httpx.Response:
        return self._send(method, path, also=(CONFLICT,), headers={**TUS, **headers}, **options)

    def _part(self, offset: int) -> Iterator[bytes]:
        stop = min(offset + PART, self._file.size)
        with self._file.path.open("rb") as file:
            file.seek(offset)
            while (chunk := file.read(min(CHUNK, stop - offset))) and offset < stop:
                yield chunk
                offset += len(chunk)
                self._told(offset, self._file.size)
