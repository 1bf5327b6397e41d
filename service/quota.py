"""Whether a caller may store more."""

from jobs.errors import StorageFull
from service.context import Context


def check_room(context: Context) -> None:
    """Refuse what has no room before it comes; what came is counted when it is recorded.

    Raises:
        StorageFull: the API key's bytes are all taken.
    """
    limit, taken = context.caller.allowance.stored, context.records.stored_bytes(context.caller.key_id)
    if limit is not None and taken >= limit:
        raise StorageFull(f"the {limit} bytes of this API key are taken; delete something")
