"""Content-Digest and Repr-Digest (RFC 9530): sha-256 of a body, read from and written to headers."""

import base64
import binascii
import re

from fastapi import Request

from jobs.errors import BadRequest

_SHA256 = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]*):")


def sent_sha256(request: Request) -> str | None:
    """The body's digest in hexadecimal as the caller sent it; None where none was sent.

    Raises:
        BadRequest: the header has no readable sha-256.
    """
    header = request.headers.get("content-digest") or request.headers.get("repr-digest")
    if header is None:
        return None
    found = _SHA256.search(header)
    try:
        digest = base64.b64decode(found.group(1), validate=True) if found else b""
    except binascii.Error:
        digest = b""
    if len(digest) != 32:
        raise BadRequest(f"the digest {header!r} cannot be read; accepted: sha-256=:<base64 of 32 bytes>:")
    return digest.hex()


def digest_header(sha256: str) -> str:
    return f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"
