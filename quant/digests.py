"""Sizes and SHA-256 digests of files, and canonical JSON."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class FileDigest:
    """The size of a file in bytes and its SHA-256 in hexadecimal."""

    size: int
    sha256: str

    @classmethod
    def read(cls, path: Path) -> "FileDigest":
        """Return the digest of a file on disk; the file is read in blocks."""
        with path.open("rb") as file:
            return cls(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def write(path: Path, data: bytes) -> FileDigest:
    """Write `data` to a file and return its digest."""
    path.write_bytes(data)
    return FileDigest(len(data), sha256_of(data))


def sha256_of(data: bytes) -> str:
    """Return the SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def canonical_json(document: Any) -> bytes:
    """Return a document as JSON with sorted keys and no spaces, so that equal documents have equal digests.

    Raises:
        ValueError: the document holds NaN or infinity, which JSON does not have.
    """
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
