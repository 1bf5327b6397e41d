"""Uploads whose bytes go straight to the object store: each part by PUT to a signed URL, then a word to the gateway.

The upload is begun as by tus, and `parts` tells what of it is left. obstore signs whole objects, not the parts of an S3
multipart upload: so each part is an object of its own, as what comes by PATCH is, and is joined as that is.
"""

from collections.abc import Mapping

from fastapi import APIRouter, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from jobs.errors import Conflict
from jobs.sessions import Part, Session
from service.context import Context, Ctx
from service.problems import RESPONSES
from service.resumable import Found, complete, folder, state_headers

PART = 16 << 20
MOST_PARTS = 256

router = APIRouter(prefix="/v1/uploads", responses=RESPONSES)


class PartOut(BaseModel):
    """Bytes of the file; `url` takes them by PUT for some minutes, and is null where the store has them."""

    offset: int
    size: int
    url: str | None


class PartsOut(BaseModel):
    items: list[PartOut]


@router.get("/{upload_id}/parts")
def upload_parts(session: Found, response: Response, context: Ctx) -> PartsOut:
    """Where to PUT what is left of an upload, straight to the store; to be asked again when the URLs have expired."""
    response.headers["Cache-Control"] = "no-store"
    there = _there(context, session)
    return PartsOut(items=[_told(context, offset, part, there) for offset, part in _left(session).items()])


@router.post("/{upload_id}/complete", status_code=204)
async def complete_upload(session: Found, response: Response, context: Ctx) -> None:
    """Say that every part is there: the upload becomes a model or dataset, which `Content-Location` names."""
    if session.result is None:
        session = await run_in_threadpool(_count, context, session)
        session = await complete(context, session)
    response.headers.update(state_headers(session))


def _left(session: Session) -> dict[int, Part]:
    """The parts that were not counted yet, by their offsets.

    Raises:
        Conflict: the upload goes another way: bytes came by PATCH.
    """
    size = max(PART, -(-session.length // MOST_PARTS))
    offsets = range(0, session.length, size)
    if session.offset not in (*offsets, session.length):
        raise Conflict(f"the upload has {session.offset} bytes by PATCH; send the others so, too")
    return {
        offset: Part(key=f"{folder(session)}/{offset:015d}", size=min(size, session.length - offset))
        for offset in offsets
        if offset >= session.offset
    }


def _there(context: Context, session: Session) -> dict[str, int]:
    """The sizes of what the store has of an upload, by key."""
    return {entry.key: entry.size for entry in context.blobs.entries(folder(session))}


def _told(context: Context, offset: int, part: Part, there: Mapping[str, int]) -> PartOut:
    """The part as its caller is told of it.

    Raises:
        Conflict: callers cannot reach the store.
    """
    url = context.blobs.signed_url(part.key, "PUT")
    if url is None:
        raise Conflict("the object store cannot be reached by callers; accepted: PATCH, as tus does")
    return PartOut(offset=offset, size=part.size, url=None if there.get(part.key) == part.size else url)


def _count(context: Context, session: Session) -> Session:
    """Every part counted as if it had come by PATCH.

    Raises:
        Conflict: one is not there, or has another size.
    """
    left, there = _left(session), _there(context, session)
    for offset, part in left.items():
        found = there.get(part.key, 0)
        if found != part.size:
            raise Conflict(f"{found} of the {part.size} bytes at {offset} are there; PUT them to their URL of `parts`")
    for part in left.values():
        context.sessions.advance(session, part)
        session = context.sessions.get(session.id, session.tenant)
    return session
