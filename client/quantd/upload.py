"""Uploads of models and datasets: small files in one request, large files resumably."""

import base64
import hashlib
from pathlib import Path

from quantd.answers import Document, document_of
from quantd.errors import ClientError
from quantd.resumable import FileToUpload, Progress, ResumableUpload
from quantd.retry import request
from quantd.steps import Call, Flow

RESUMABLE_BYTES = 16 << 20
"""Files below this size are sent in one request: sending them again costs less than the protocol."""


def upload(kind: str, path: Path, progress: Progress) -> Flow[Document]:
    """Upload a file as a `model` or `dataset` and return its record; large files report their progress.

    Raises:
        ClientError: the file cannot be read, or the service refused it.
        Unreachable: the service does not answer.
    """
    try:
        size, sha256 = yield Call(lambda: _size_and_digest(path))
        if size >= RESUMABLE_BYTES:
            url = yield from ResumableUpload(FileToUpload(kind, path, size, sha256.hex()), progress).run()
            response = yield from request("GET", url)
        else:
            content = yield Call(path.read_bytes)
            headers = {"Repr-Digest": _digest_header(sha256), "Content-Type": "application/octet-stream"}
            response = yield from request(
                "POST", f"/v1/{kind}s", content=content, headers=headers, params={"filename": path.name},
                is_idempotent=True,  # equal bytes are the same upload
            )  # fmt: skip
    except OSError as error:
        raise ClientError(f"{path}: {error.strerror}") from None
    except ClientError as error:
        if not str(error.problem.get("code")).startswith(("model.", "dataset.")):
            raise
        detail = f"{path}: {error.detail}"  # of several files, the one that was refused
        raise ClientError(detail, {**error.problem, "detail": detail}) from None
    return document_of(response, "id", "sha256", "size")


def _size_and_digest(path: Path) -> tuple[int, bytes]:
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").digest()
        return stream.tell(), sha256


def _digest_header(sha256: bytes) -> str:
    return f"sha-256=:{base64.b64encode(sha256).decode()}:"
