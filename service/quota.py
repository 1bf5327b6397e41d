"""Check of an API key's storage quota before an upload or a job."""

from jobs.errors import StorageFull
from service.context import Context


def check_storage_quota(context: Context) -> None:
    """Refuse a request from an API key whose storage is already full.

    This spares a caller a hopeless upload. The exact check happens when the bytes are recorded.

    Raises:
        StorageFull: the key's stored bytes have reached its limit.
    """
    limit, used = context.caller.allowance.stored, context.records.stored_bytes(context.caller.key_id)
    if limit is not None and used >= limit:
        raise StorageFull(f"this API key has used all of its {limit} bytes of storage; delete something first")
