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
        with path.open("rb") as file:
            return cls(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def write(path: Path, data: bytes) -> FileDigest:
    """Write a file, and say what it is."""
    path.write_bytes(data)
    return FileDigest(len(data), sha256_of(data))


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def canonical_json(document: Any) -> bytes:
    """Keys sorted, no spaces: the same document always has the same digest."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
