"""Downloads of artifacts, resumed after an interruption and verified by their digest."""

import hashlib
from pathlib import Path
from typing import BinaryIO

from quantd.connection import Connection
from quantd.errors import ClientError
from quantd.retry import retry_while_progressing

PARTIAL_CONTENT = 206


def download(connection: Connection, url: str, sha256: str, path: Path) -> None:
    """Write the bytes at a URL to a file; the file is unchanged unless the download succeeds.

    Raises:
        ClientError: the bytes do not have this SHA-256.
        Unreachable: the service does not answer.
    """
    part = path.with_name(path.name + ".part")
    try:
        with part.open("w+b") as file:
            retry_while_progressing(lambda: _fetch_rest(connection, url, file), file.tell)
            file.seek(0)
            received = hashlib.file_digest(file, "sha256").hexdigest()
        if received != sha256:
            raise ClientError(f"{path.name} arrived with the SHA-256 {received}, not {sha256}; download it again")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _fetch_rest(connection: Connection, url: str, file: BinaryIO) -> None:
    """Append the bytes that the file lacks; a redirect to the object store is followed."""
    headers = {"Range": f"bytes={file.tell()}-"} if file.tell() else {}
    with connection.stream(url, headers=headers, follow_redirects=True) as response:
        if response.status_code != PARTIAL_CONTENT:
            file.seek(0)
        for chunk in response.iter_bytes():  # chunks as they arrive: an interruption would lose a part of larger ones
            file.write(chunk)
