"""Schemathesis hooks for this API: the body of a tus PATCH is plain bytes."""

import schemathesis


@schemathesis.serializer("application/offset+octet-stream")
def serialize_bytes(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode()
