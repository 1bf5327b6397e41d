"""What a job made: the list, the bytes with Range and ETag, and the report."""

import json
import re
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from jobs.errors import Conflict, NotFound, RangeNotSatisfiable
from jobs.job import Artifact, Job
from service.context import Context, Ctx
from service.digests import digest_header
from service.jobs import FoundJob
from service.problems import RESPONSES, header_docs

router = APIRouter(prefix="/v1/jobs/{job_id}", responses=RESPONSES)

_RANGE = re.compile(r"^bytes=(\d{0,19})-(\d{0,19})$")
_SAFE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}
"""A report names what an unknown model holds: no script runs in it, whatever name it is fetched by."""
OPAQUE = "application/octet-stream"
"""What may be sent from the store's own address: nothing that a browser would show."""
_PAGE = "text/html"


def _bytes_of(*media_types: str) -> dict[int | str, dict[str, Any]]:
    """What a download is documented to answer."""
    content: dict[str, Any] = {media_type: {} for media_type in media_types}
    headers = header_docs(ETag="the sha-256", Repr_Digest="that of the whole, as RFC 9530 writes it")
    part = header_docs(Content_Range="which bytes of how many")
    return {
        200: {"content": content, "description": "The bytes.", "headers": headers},
        206: {"content": content, "description": "The part that Range names.", "headers": headers | part},
        304: {"description": "If-None-Match names what is there.", "headers": headers},
    }


SENT_ON: dict[int | str, dict[str, Any]] = {
    307: {"description": "The bytes are at `Location`, in the object store itself, for some minutes."}
}
ANY_ARTIFACT = _bytes_of(OPAQUE, "application/json", "application/xml", _PAGE) | SENT_ON


@dataclass(frozen=True)
class Conditions:
    """What of the bytes the caller wants, and under which conditions."""

    range: Annotated[str | None, Header(description="one range of bytes")] = None
    if_range: Annotated[str | None, Header(description="the ETag that the range is of")] = None
    if_none_match: Annotated[str | None, Header(description="an ETag that the caller has")] = None


Wanted = Annotated[Conditions, Depends()]


class ArtifactOut(BaseModel):
    name: str
    size: int
    sha256: str
    media_type: str
    url: str


class ArtifactPage(BaseModel):
    items: list[ArtifactOut]
    next_cursor: str | None = None


@router.get("/artifacts")
def list_artifacts(job: FoundJob) -> ArtifactPage:
    return ArtifactPage.model_validate(
        {"items": [{**a.model_dump(), "url": f"/v1/jobs/{job.id}/artifacts/{a.name}"} for a in job.artifacts]}
    )


@router.get("/artifacts/{name}", response_class=StreamingResponse, responses=ANY_ARTIFACT)
def get_artifact(name: str, job: FoundJob, context: Ctx, wanted: Wanted) -> Response:
    """The bytes of one artifact; its ETag is its sha-256."""
    return _bytes(context, _artifact(job, name), wanted)


@router.get("/report.html", response_class=StreamingResponse, responses=_bytes_of(_PAGE))
def get_report_page(job: FoundJob, context: Ctx, wanted: Wanted) -> Response:
    """The report as one self-contained page."""
    return _bytes(context, _artifact(job, "report.html"), wanted)


@router.get("/report")
def get_report(job: FoundJob, context: Ctx) -> dict[str, Any]:
    """The report with the times that its job took; the stored report has none, so that equal jobs make equal bytes."""
    report: dict[str, Any] = json.loads(context.blobs.read(_artifact(job, "report.json").key))
    report["summary"]["seconds"] = job.summary.seconds if job.summary else None
    for layer in report["layers"]:
        layer["seconds"] = job.timings.get(layer["name"])
    return report


def _artifact(job: Job, name: str) -> Artifact:
    found = next((artifact for artifact in job.artifacts if artifact.name == name), None)
    if found is not None:
        return found
    if not job.artifacts:
        raise Conflict(f"job {job.id!r} is {job.status} and has made nothing; a succeeded job has artifacts")
    raise NotFound(f"job {job.id!r} has no {name!r}; it has {', '.join(a.name for a in job.artifacts)}")


def _bytes(context: Context, artifact: Artifact, wanted: Conditions) -> Response:
    etag = f'"{artifact.sha256}"'
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "Repr-Digest": digest_header(artifact.sha256), **_SAFE}
    known = wanted.if_none_match or ""
    if known.strip() == "*" or etag in known:
        return Response(status_code=304, headers=headers)
    signed = context.blobs.signed_url(artifact.key) if artifact.media_type == OPAQUE else None
    if signed is not None:
        return Response(status_code=307, headers=headers | {"Location": signed, "Cache-Control": "no-store"})
    range_ = wanted.range if wanted.if_range in (None, etag) else None
    window = _window(range_, artifact.size)
    start, stop = window or (0, artifact.size)
    headers |= {"Content-Length": str(stop - start), "Content-Type": artifact.media_type}
    headers["Content-Disposition"] = f'inline; filename="{artifact.name}"'
    if window:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{artifact.size}"
    return StreamingResponse(context.blobs.stream(artifact.key, start, stop), 206 if window else 200, headers)


def _window(wanted: str | None, size: int) -> tuple[int, int] | None:
    """The first byte and the one behind the last of a Range of one part; None for what RFC 9110 lets us ignore.

    Raises:
        RangeNotSatisfiable: it lies outside of the bytes.
    """
    found = _RANGE.match(wanted.strip()) if wanted else None
    first, last = found.groups() if found else ("", "")
    if not first and not last:
        return None
    start, stop = (int(first), int(last) + 1 if last else size) if first else (max(size - int(last), 0), size)
    if start >= min(stop, size):
        raise RangeNotSatisfiable(f"the range {wanted!r} is not in the {size} bytes; accepted: bytes=first-last")
    return start, min(stop, size)
