"""What a job made: the list, the bytes with Range and ETag, and the report."""

import json
import re
from typing import Annotated, Any

from fastapi import APIRouter, Header, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from jobs.errors import Conflict, NotFound, RangeNotSatisfiable
from jobs.job import Artifact, Job
from service.context import Context, Ctx
from service.digests import digest_header
from service.jobs import FoundJob
from service.problems import RESPONSES

router = APIRouter(prefix="/v1/jobs/{job_id}", responses=RESPONSES)

_RANGE = re.compile(r"^bytes=(\d*)-(\d*)$")
BYTES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {}}, "description": "The bytes."},
    206: {"content": {"application/octet-stream": {}}, "description": "The part that Range names."},
    304: {"description": "If-None-Match names what is there."},
}

Range = Annotated[str | None, Header(alias="range", description="one range of bytes")]
IfNoneMatch = Annotated[str | None, Header(description="an ETag that the caller has")]


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


@router.get("/artifacts/{name}", response_class=StreamingResponse, responses=BYTES)
def get_artifact(
    name: str, job: FoundJob, context: Ctx, range: Range = None, if_none_match: IfNoneMatch = None
) -> Response:
    """The bytes of one artifact; its ETag is its sha-256."""
    return _bytes(context, _artifact(job, name), range, if_none_match)


@router.get("/report.html", response_class=StreamingResponse, responses=BYTES)
def get_report_page(job: FoundJob, context: Ctx) -> Response:
    """The report as one self-contained page."""
    response = _bytes(context, _artifact(job, "report.html"), None, None)
    response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
    return response


@router.get("/report")
def get_report(job: FoundJob, context: Ctx) -> dict[str, Any]:
    """The report with the times that its job took; the stored report has none, so that equal jobs make equal bytes."""
    report: dict[str, Any] = json.loads(context.blobs.read(_artifact(job, "report.json").key))
    report["summary"]["seconds"] = (job.summary or {}).get("seconds")
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


def _bytes(context: Context, artifact: Artifact, wanted: str | None, if_none_match: str | None) -> Response:
    etag = f'"{artifact.sha256}"'
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "Repr-Digest": digest_header(artifact.sha256)}
    if if_none_match is not None and (if_none_match.strip() == "*" or etag in if_none_match):
        return Response(status_code=304, headers=headers)
    start, stop = _window(wanted, artifact.size)
    headers |= {"Content-Length": str(stop - start), "Content-Type": artifact.media_type}
    if wanted is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{artifact.size}"
    else:
        headers["Content-Disposition"] = f'inline; filename="{artifact.name}"'
    return StreamingResponse(context.blobs.stream(artifact.key, start, stop), 206 if wanted else 200, headers)


def _window(wanted: str | None, size: int) -> tuple[int, int]:
    """The first byte and the one behind the last that a Range header of one range asks for.

    Raises:
        RangeNotSatisfiable: it is of another form, or lies outside.
    """
    if wanted is None:
        return 0, size
    found = _RANGE.match(wanted.strip())
    first, last = found.groups() if found else ("", "")
    if first:
        start, stop = int(first), min(int(last) + 1 if last else size, size)
    elif last:
        start, stop = max(size - int(last), 0), size
    else:
        start, stop = size, size
    if start >= stop:
        raise RangeNotSatisfiable(
            f"the range {wanted!r} is not in the {size} bytes; accepted: one range, bytes=first-last"
        )
    return start, stop
