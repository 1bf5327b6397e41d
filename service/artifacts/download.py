"""Downloads with ETag, Range and If-None-Match (RFC 9110), or a redirect to the object store."""

import functools
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Response
from fastapi.responses import StreamingResponse

from jobs.errors import RangeNotSatisfiable
from jobs.job import Artifact
from quant.outcome.artifacts import ARTIFACTS, OCTETS, REPORT_PAGE, ArtifactKind
from quant.outcome.page_assets import script_source
from service.context import Context
from service.digests import digest_header
from service.problems import header_docs

_RANGE = re.compile(r"^bytes=(\d{0,19})-(\d{0,19})$")
_SAFE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""A job's process wrote the file, so a browser that shows it runs nothing in it, whatever URL it is fetched from."""
_PAGE_HEADERS = _SAFE_HEADERS | {
    "Content-Security-Policy": (
        f"default-src 'none'; script-src {script_source()}; style-src 'unsafe-inline'; img-src data:; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'self'; sandbox allow-scripts allow-downloads"
    )
}
"""The report page may run the packaged script and no other, without the origin of the service, and our pages may frame
it. Styles cannot load anything under this policy, and those of a page from an earlier version differ."""


@dataclass(frozen=True)
class DownloadConditions:
    """The headers of a request that select bytes or make the answer conditional."""

    range: Annotated[str | None, Header(description="One range of bytes, such as `bytes=0-1023`.")] = None
    if_range: Annotated[str | None, Header(description="Apply `Range` only if the ETag is this one.")] = None
    if_none_match: Annotated[str | None, Header(description="An ETag that the caller already has.")] = None


Conditions = Annotated[DownloadConditions, Depends()]


def download_docs(*kinds: ArtifactKind) -> dict[int | str, dict[str, Any]]:
    """Return the documented answers of a download of one of these kinds."""
    media_types = sorted({kind.media_type.split(";")[0] for kind in kinds}, key=lambda name: (name != OCTETS, name))
    binary = {"type": "string", "format": "binary"}
    content: dict[str, Any] = {name: {"schema": {} if name.endswith("json") else binary} for name in media_types}
    headers = header_docs(ETag="The SHA-256 of the file.", Repr_Digest="The SHA-256 of the whole file (RFC 9530).")
    part = header_docs(Content_Range="The range of these bytes and the size of the file.")
    return {
        200: {"content": content, "description": "The whole file.", "headers": headers},
        206: {"content": content, "description": "The bytes of the range.", "headers": headers | part},
        304: {"description": "The caller already has the file (`If-None-Match`).", "headers": headers},
    }


REDIRECT_DOCS: dict[int | str, dict[str, Any]] = {
    307: {"description": "The file is at `Location`, a presigned URL of the object store, valid for 15 minutes."}
}
ARTIFACT_DOCS = download_docs(*ARTIFACTS) | REDIRECT_DOCS


@dataclass(frozen=True)
class Document:
    """A file to be downloaded: its name, media type, size in bytes and SHA-256, and its bytes between two positions."""

    name: str
    media_type: str
    size: int
    sha256: str
    stream: Callable[[int, int], AsyncIterator[bytes] | Iterator[bytes]]

    @classmethod
    def of_bytes(cls, data: bytes, name: str, media_type: str) -> "Document":
        """Return a document in memory."""
        sha256 = hashlib.sha256(data).hexdigest()
        return cls(name, media_type, len(data), sha256, lambda start, stop: iter((data[start:stop],)))


def download(context: Context, artifact: Artifact, conditions: DownloadConditions) -> Response:
    """Return the artifact, the part that the caller asks for, 304, or a redirect to the object store.

    Raises:
        RangeNotSatisfiable: the range lies outside of the file.
    """
    stream = functools.partial(context.blobs.stream, artifact.key)
    document = Document(artifact.name, artifact.media_type, artifact.size, artifact.sha256, stream)
    # a browser never renders this type, so it may come from the store's own address
    url = context.blobs.signed_url(artifact.key) if artifact.media_type == OCTETS else None
    if url is None or _is_known(document, conditions):
        return send(document, conditions)
    return Response(status_code=307, headers=_headers(document) | {"Location": url, "Cache-Control": "no-store"})


def send(document: Document, conditions: DownloadConditions) -> Response:
    """Return the document, the part that the caller asks for, or 304.

    Raises:
        RangeNotSatisfiable: the range lies outside of the file.
    """
    headers = _headers(document)
    if _is_known(document, conditions):
        return Response(status_code=304, headers=headers)
    requested = parse_range(conditions.range if conditions.if_range in (None, headers["ETag"]) else None, document.size)
    start, stop = requested or (0, document.size)
    headers |= {
        "Content-Length": str(stop - start),
        "Content-Type": document.media_type,
        "Content-Disposition": f'inline; filename="{document.name}"',
    }
    if requested:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{document.size}"
    return StreamingResponse(document.stream(start, stop), 206 if requested else 200, headers)


def _headers(document: Document) -> dict[str, str]:
    digest = digest_header(document.sha256)
    safe = _PAGE_HEADERS if document.media_type == REPORT_PAGE.media_type else _SAFE_HEADERS
    return {"ETag": f'"{document.sha256}"', "Accept-Ranges": "bytes", "Repr-Digest": digest, **safe}


def _is_known(document: Document, conditions: DownloadConditions) -> bool:
    """Return True if the caller has the document already."""
    known = conditions.if_none_match or ""
    return known.strip() == "*" or f'"{document.sha256}"' in known


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return `(start, stop)` of a Range header with one range; None for a header that RFC 9110 lets us ignore.

    Raises:
        RangeNotSatisfiable: the range lies outside of the `size` bytes.
    """
    match = _RANGE.match(header.strip()) if header else None
    first, last = match.groups() if match else ("", "")
    if not first and not last:
        return None
    start, stop = (int(first), int(last) + 1 if last else size) if first else (max(size - int(last), 0), size)
    if start >= min(stop, size):
        raise RangeNotSatisfiable(f"the range {header!r} lies outside of the {size} bytes; accepted: bytes=first-last")
    return start, min(stop, size)
