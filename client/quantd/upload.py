"""Uploads of models and datasets: small files in one request, large files resumably."""

import base64
import hashlib
from pathlib import Path

from quantd.connection import Connection, Document
from quantd.errors import ClientError
from quantd.resumable import FileToUpload, Progress, ResumableUpload

RESUMABLE_BYTES = 16 << 20
"""Files below this size are sent in one request: sending them again costs less than the protocol."""


def upload(connection: Connection, kind: str, path: Path, progress: Progress) -> Document:
    """Upload a file as a `model` or `dataset` and return its record; large files report their progress.

    Raises:
        ClientError: the file cannot be read, or the service refused it.
        Unreachable: the service does not answer.
    """
    try:
        with path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256")
            size = stream.tell()
            if size >= RESUMABLE_BYTES:
                file = FileToUpload(kind, path, size, sha256.hexdigest())
                return connection.json("GET", ResumableUpload(connection, file, progress).run())
            stream.seek(0)
            headers = {"Repr-Digest": _digest_header(sha256.digest()), "Content-Type": "application/octet-stream"}
            query = {"filename": path.name}
            return connection.json("POST", f"/v1/{kind}s", content=stream, headers=headers, params=query)
    except OSError as error:
        raise ClientError(f"{path}: {error.strerror}") from None


def _digest_header(sha256: bytes) -> str:
    return f"sha-256=:{base64.b64encode(sha256).decode()}:"
