"""The tus 1.0 protocol: its version, metadata and response headers (core, creation, expiration, termination)."""

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Annotated

from fastapi import Header

from jobs.errors import BadRequest, UnsupportedVersion
from jobs.redis_keys import Kind
from jobs.sessions import Session
from service.uploads.body import clean_name

VERSION = "1.0.0"
EXTENSIONS = "creation,expiration,termination"
TUS_HEADERS = {"Tus-Resumable": VERSION}
OFFSET_MEDIA_TYPE = "application/offset+octet-stream"
KINDS: dict[str, Kind] = {"model": "model", "dataset": "dataset"}
ACCEPTED_METADATA = (
    "accepted: `kind` (model or dataset), optionally `filename` and `sha256` (hexadecimal), each value in base64"
)


@dataclass(frozen=True)
class UploadMetadata:
    """The contents of an Upload-Metadata header."""

    kind: Kind
    filename: str | None
    sha256: str | None


def check_version(
    tus_resumable: Annotated[str | None, Header(description=f"The version of the protocol, `{VERSION}`.")] = None,
) -> None:
    """Refuse other versions of tus.

    Raises:
        UnsupportedVersion: the version is not 1.0.0.
    """
    if tus_resumable != VERSION:
        raise UnsupportedVersion(f"Tus-Resumable is {tus_resumable!r}; accepted: {VERSION}")


def parse_metadata(header: str) -> UploadMetadata:
    """Parse an Upload-Metadata header, `key base64,key base64`.

    Raises:
        BadRequest: the header is malformed, has unknown keys, or names no kind.
    """
    values = _decode(header)
    kind = KINDS.get(values.get("kind", ""))
    if kind is None or set(values) - {"kind", "filename", "sha256"}:
        raise BadRequest(
            f"the upload's metadata has the keys {', '.join(sorted(values)) or 'none'}; {ACCEPTED_METADATA}"
        )
    if not re.fullmatch(r"[0-9a-f]{64}|", values.get("sha256", "")):
        raise BadRequest(f"the upload's sha256 cannot be read; {ACCEPTED_METADATA}")
    return UploadMetadata(kind, clean_name(values.get("filename")), values.get("sha256") or None)


def _decode(header: str) -> dict[str, str]:
    try:
        pairs = [part.strip().partition(" ") for part in header.split(",")]
        return {key: base64.b64decode(value, validate=True).decode() for key, _, value in pairs}
    except (binascii.Error, UnicodeDecodeError):
        raise BadRequest(f"the upload's metadata cannot be read; {ACCEPTED_METADATA}") from None


def state_headers(session: Session) -> dict[str, str]:
    """Return the headers that describe an upload; `Content-Location` names the model or dataset it became."""
    expires = format_datetime(datetime.fromtimestamp(session.expires, UTC), usegmt=True)
    state = {**TUS_HEADERS, "Upload-Offset": str(session.offset), "Upload-Length": str(session.length)}
    state |= {"Upload-Expires": expires, "Cache-Control": "no-store"}
    return state | ({"Content-Location": f"/v1/{session.kind}s/{session.result}"} if session.result else {})
