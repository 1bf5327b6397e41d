"""Files that the service fetches itself, named by their location instead of uploaded."""

import uuid
from dataclasses import dataclass
from pathlib import Path

from quantd.answers import Document, document_of
from quantd.errors import ClientError
from quantd.retry import request
from quantd.steps import Flow

SCHEMES = ("https://", "http://", "s3://", "hf://", "mlflow:/")
"""The beginnings of locations; anything else names a file on this machine."""


@dataclass(frozen=True)
class Source:
    """A file that the service fetches.

    Attributes:
        location: `https://host/path`, `s3://bucket/key`, `hf://owner/name/file` or `mlflow:/name/version`.
        credentials: the name of credentials that the operator of the service has set up; None without.
    """

    location: str
    credentials: str | None = None


def file_or_source(text: str, credentials: str | None = None) -> Path | Source:
    """Return the file or the source that an argument of the command names."""
    return Source(text, credentials) if text.startswith(SCHEMES) else Path(text)


def local_file(file: Path | Source | None) -> Path | None:
    """Return the file; None for none.

    Raises:
        ClientError: it is a source, which only the service fetches.
    """
    if isinstance(file, Source):
        raise ClientError(f"{file.location}: only the service fetches files; accepted: a file, or without --local")
    return file


def fetch(kind: str, source: Source, sha256: str | None = None, filename: str | None = None) -> Flow[Document]:
    """Let the service fetch a `model` or `dataset`; return its record at once, while the fetch goes on.

    Raises:
        ClientError: the service refused the source.
        Unreachable: the service does not answer.
    """
    body = {"source": source.location, "credentials": source.credentials, "sha256": sha256, "filename": filename}
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    response = yield from request("POST", f"/v1/{kind}s", json=body, headers=headers)
    return document_of(response, "id", "status")
