"""Content-Digest and Repr-Digest headers (RFC 9530) with SHA-256."""

import base64
import binascii
import re

from fastapi import Request

from jobs.errors import BadRequest

_SHA256 = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]*):")


def sent_sha256(request: Request) -> str | None:
    """Return the SHA-256 that the caller sent for the body, in hexadecimal; None if there is no such header.

    Raises:
        BadRequest: the header has no readable sha-256.
    """
    header = request.headers.get("content-digest") or request.headers.get("repr-digest")
    if header is None:
        return None
    match = _SHA256.search(header)
    try:
        digest = base64.b64decode(match.group(1), validate=True) if match else b""
    except binascii.Error:
        digest = b""
    if len(digest) != 32:
        raise BadRequest(f"the digest {header!r} cannot be read; accepted: sha-256=:<base64 of 32 bytes>:")
    return digest.hex()


def digest_header(sha256: str) -> str:
    """Return the header value for a SHA-256 in hexadecimal."""
    return f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"
