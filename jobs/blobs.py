"""Blobs in object storage: written once from a stream that is hashed on the way, read whole or in part."""

import contextlib
import hashlib
import io
import os
import re
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from urllib.request import url2pathname

import obstore
from obstore.exceptions import GenericError
from obstore.store import LocalStore, from_url

from jobs.errors import DigestMismatch, NotFound, TooLarge

CHUNK = 1 << 20
HEAD = 512
PING, PINGED = "health/ping", bytes(CHUNK // 256)
"""The blob that readiness checks write: a block of 4 KiB, for which a full disk has no room."""
SIGNED_FOR = timedelta(minutes=15)
EMPTY_S = 3600.0
"""An empty folder of a local store is removed when nothing has been created or removed in it for this long."""

Check = Callable[[bytes], object]
"""Checks the first `HEAD` bytes of a stream (all of a shorter one) and raises if the content is not acceptable."""


@dataclass(frozen=True)
class Stored:
    """A blob that was written: SHA-256 in hexadecimal, size in bytes, first bytes."""

    sha256: str
    size: int
    head: bytes


@dataclass(frozen=True)
class Entry:
    """A blob in a listing; `size` is in bytes."""

    key: str
    modified: datetime
    size: int


class Blobs:
    """An object store, by URL: `file:///folder` or `s3://bucket/prefix` (credentials from the environment)."""

    def __init__(self, url: str, download_endpoint: str | None = None) -> None:
        """Open the store; `download_endpoint` is the address at which callers reach an S3 store, if they can."""
        parts = urlsplit(url)
        self._store: Any
        self._signer: Any = None
        self._root: Path | None = None
        if parts.scheme == "file":
            self._root = Path(url2pathname(parts.path))
            self._store = LocalStore(self._root, mkdir=True)
            return
        self._store = from_url(url)
        if download_endpoint is not None:
            self._signer = from_url(url, endpoint=download_endpoint)

    def ping(self) -> None:
        """Check that the store answers and takes a write; otherwise its own error is raised."""
        with _writing():
            obstore.put(self._store, PING, PINGED)
        obstore.delete(self._store, PING)

    async def write(
        self, key: str, chunks: AsyncIterable[bytes], check: Check, limit: int, sha256: str | None = None
    ) -> Stored:
        """Store a stream under a new key. If this raises, nothing is stored.

        Raises:
            TooLarge: the stream has more than `limit` bytes.
            DigestMismatch: `sha256` (hexadecimal) is not the digest of the bytes.
            QuantdError: `check` refuses the first bytes; the rest is then not read.
        """
        stream = _Counted(chunks, check, limit, sha256)
        with _writing():
            await obstore.put_async(self._store, key, aiter(stream), chunk_size=8 * CHUNK, max_concurrency=2)
        return Stored(stream.digest.hexdigest(), stream.size, stream.head)

    def put(self, key: str, data: bytes) -> None:
        """Write a small document, over an older version."""
        with _writing():
            obstore.put(self._store, key, data)

    def copy(self, source: str, target: str) -> None:
        """Copy a blob within the store.

        Raises:
            NotFound: there is no blob `source`.
        """
        try:
            obstore.copy(self._store, source, target)
        except FileNotFoundError:
            raise NotFound(f"the object store has no {source!r}") from None

    def write_file(self, key: str, path: Path, each: Callable[[], object] | None = None) -> None:
        """Store a file; `each` is called between its parts, and if it raises, nothing is stored."""
        with _writing():
            obstore.put(self._store, key, _parts(path, each))

    def read(self, key: str) -> bytes:
        """Return the bytes of a small blob.

        Raises:
            NotFound: there is no such blob.
        """
        try:
            return bytes(obstore.get(self._store, key).bytes())
        except FileNotFoundError:
            raise NotFound(f"the object store has no {key!r}") from None

    def fetch(self, key: str, path: Path, each: Callable[[], object]) -> str:
        """Copy a blob to a file and return its SHA-256 in hexadecimal; `each` is called between its parts.

        Raises:
            NotFound: there is no such blob.
        """
        digest = hashlib.sha256()
        try:
            chunks = obstore.get(self._store, key).stream(min_chunk_size=CHUNK)
        except FileNotFoundError:
            raise NotFound(f"the object store has no {key!r}") from None
        with path.open("wb") as file:
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
                each()
        return digest.hexdigest()

    async def stream(self, key: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to `stop` (exclusive)."""
        result = await obstore.get_async(self._store, key, options={"range": (start, stop)})
        async for chunk in result.stream(min_chunk_size=CHUNK):
            yield bytes(chunk)

    def signed_url(self, key: str, method: Literal["GET", "PUT"] = "GET") -> str | None:
        """Return a URL that permits `method` on this blob for `SIGNED_FOR`, or None if callers cannot reach the store.

        The URL is a credential: send it to the blob's owner only, and never log it.
        """
        return str(obstore.sign(self._signer, method, key, SIGNED_FOR)) if self._signer is not None else None

    def open(self, key: str) -> io.BufferedReader:
        """Return a seekable binary file that reads the blob in parts."""
        return io.BufferedReader(_Reader(obstore.open_reader(self._store, key)))

    def delete(self, key: str) -> None:
        """Remove a blob if it exists."""
        try:
            obstore.delete(self._store, key)
        except FileNotFoundError:
            return

    def keys(self, prefix: str) -> list[str]:
        """Return every key below a prefix."""
        return [entry.key for entry in self.entries(prefix)]

    def folders(self, prefix: str) -> list[str]:
        """Return the keys of the folders directly below a prefix."""
        return [str(key) for key in obstore.list_with_delimiter(self._store, prefix)["common_prefixes"]]

    def entries(self, prefix: str, after: str | None = None) -> Iterator[Entry]:
        """Yield every blob below a prefix, or only those whose key sorts after `after`."""
        for page in obstore.list(self._store, prefix=prefix or None, offset=after):
            yield from (Entry(item["path"], item["last_modified"], item["size"]) for item in page)

    def sweep(self, before: datetime) -> int:
        """Remove partial files of interrupted writes that are older than `before`; return their number.

        A local store keeps them under hidden names (`name#1`). An S3 store removes them by its own lifecycle rule.
        """
        if self._root is None:
            return 0
        removed = 0
        for entry in _walk(self._root):
            if re.search(r"#\d+$", entry.name) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError):  # its write has ended
                    if entry.stat().st_mtime < before.timestamp():
                        os.unlink(entry)
                        removed += 1
        return removed

    def sweep_folders(self, empty_s: float = EMPTY_S) -> int:
        """Remove empty folders of a local store that have not changed for `empty_s` seconds; return their number.

        No write is lost. `rmdir` removes nothing but an empty folder, and a write creates the folder again that it
        misses. The age keeps a folder that was just created: a write creates folders once, not in a race with this.
        The folder around a removed one has changed, and so stays for another `empty_s`.
        """
        removed, before = 0, time.time() - empty_s
        for entry in _walk(self._root) if self._root is not None else ():
            with contextlib.suppress(OSError):  # it is not empty, or gone
                if entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mtime < before:
                    os.rmdir(entry)
                    removed += 1
        return removed


def _walk(top: Path) -> Iterator[os.DirEntry[str]]:
    """Yield everything below a folder, without recursion; no link is followed."""
    folders = [str(top)]
    while folders:
        try:
            entries = list(os.scandir(folders.pop()))
        except FileNotFoundError:
            continue
        folders += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        yield from entries


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    """Take a 404 of a write for a failure of the store, as which callers wait for it or answer 503.

    The bucket is missing, or an upload in parts failed and the store had dropped it before it was aborted; obstore then
    raises the error of the abort.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise GenericError(f"the object store cannot be written: {error}") from error


def _parts(path: Path, each: Callable[[], object] | None) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(CHUNK):
            if each is not None:
                each()
            yield part


class _Reader(io.RawIOBase):
    """An obstore reader as a Python file: obstore returns buffers, and zipfile needs bytes."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._reader.read(len(buffer))
        buffer[: len(data)] = memoryview(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._reader.seek(offset, whence))

    def tell(self) -> int:
        return int(self._reader.tell())


class _Counted:
    """A stream that counts, hashes and checks its chunks while they are read.

    A write whose source raises before its end never completes, so the source is the place for every check.
    """

    def __init__(self, chunks: AsyncIterable[bytes], check: Check, limit: int, sha256: str | None) -> None:
        self._chunks, self._check, self._limit, self._expected = chunks, check, limit, sha256
        self.digest, self.size, self.head = hashlib.sha256(), 0, b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._chunks:
            self._count(chunk)
            yield chunk
        if len(self.head) < HEAD:
            self._check(self.head)
        digest = self.digest.hexdigest()
        if self._expected is not None and digest != self._expected:
            raise DigestMismatch(
                f"the body's sha-256 is {digest}, but the request announced {self._expected}; nothing was stored"
            )

    def _count(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.size > self._limit:
            raise TooLarge(f"the body is larger than {self._limit} bytes; accepted: up to {self._limit}")
        self.digest.update(chunk)
        if len(self.head) < HEAD:
            self.head = (self.head + chunk[:HEAD])[:HEAD]
            if len(self.head) == HEAD:
                self._check(self.head)
