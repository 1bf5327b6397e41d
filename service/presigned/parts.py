"""Parts of an upload that callers send directly to the object store, by presigned URLs.

obstore presigns whole objects, not the parts of an S3 multipart upload. Each part is therefore an object of its own,
like the body of a tus PATCH, and is joined in the same way.
"""

from jobs.errors import Conflict
from jobs.sessions import Part, Session
from service.context import Context
from service.presigned.schemas import PartOut
from service.resumable.sessions import parts_folder

PART_BYTES = 16 << 20
MAX_PARTS = 256


def presigned_parts(context: Context, session: Session) -> list[PartOut]:
    """Return every part that was not sent by PATCH, with a presigned URL if it has not arrived.

    Raises:
        Conflict: bytes came by PATCH, or callers cannot reach the object store.
    """
    stored = _stored_sizes(context, session)
    return [
        _part_out(context, offset, part, arrived=stored.get(part.key) == part.size)
        for offset, part in _uncounted(session).items()
    ]


def count_parts(context: Context, session: Session) -> Session:
    """Add every part to the session as if it had come by PATCH, and return the complete session.

    Raises:
        Conflict: a part is missing or has another size.
    """
    uncounted, stored = _uncounted(session), _stored_sizes(context, session)
    for offset, part in uncounted.items():
        size = stored.get(part.key, 0)
        if size != part.size:
            raise Conflict(
                f"{size} of the {part.size} bytes at {offset} have arrived; PUT them to their URL from `parts`"
            )
    for part in uncounted.values():
        context.sessions.advance(session, part)
        session = context.sessions.get(session.id, session.tenant)
    return session


def _uncounted(session: Session) -> dict[int, Part]:
    """Return the parts that the session does not have yet, by their offsets.

    Raises:
        Conflict: some bytes came by PATCH.
    """
    size = max(PART_BYTES, -(-session.length // MAX_PARTS))
    offsets = range(0, session.length, size)
    if session.offset not in (*offsets, session.length):
        raise Conflict(f"{session.offset} bytes of the upload came by PATCH; accepted: the remaining bytes by PATCH")
    return {
        offset: Part(key=f"{parts_folder(session)}/{offset:015d}", size=min(size, session.length - offset))
        for offset in offsets
        if offset >= session.offset
    }


def _stored_sizes(context: Context, session: Session) -> dict[str, int]:
    """Return the size of each blob that the object store has for an upload, by key."""
    return {entry.key: entry.size for entry in context.blobs.entries(parts_folder(session))}


def _part_out(context: Context, offset: int, part: Part, arrived: bool) -> PartOut:
    url = context.blobs.signed_url(part.key, "PUT")
    if url is None:
        raise Conflict("callers cannot reach the object store of this service; accepted: the bytes by PATCH (tus)")
    return PartOut(offset=offset, size=part.size, url=None if arrived else url)
