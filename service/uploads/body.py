"""The body of an upload: the file itself, or a form with the file in the field `file`."""

import re
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request, Response
from starlette.datastructures import UploadFile

from jobs.blobs import CHUNK
from jobs.errors import BadRequest
from jobs.job import Upload
from jobs.redis_keys import Kind
from service.context import Context
from service.digests import sent_sha256
from service.uploads.storage import store_upload

_TEXT = {"type": "string"}
_FILE = {"type": "string", "format": "binary"}
_FORM = {"type": "object", "properties": {"file": _FILE}, "required": ["file"]}
_FILENAME_HELP = "The file's name; the headers X-Filename and Content-Disposition can name it instead."
_DIGEST_HELP = "`sha-256=:<base64>:` of the bytes (RFC 9530), verified; Content-Digest is accepted too."
BODY: dict[str, Any] = {
    "parameters": [
        {"name": "filename", "in": "query", "required": False, "description": _FILENAME_HELP, "schema": _TEXT},
        {"name": "Repr-Digest", "in": "header", "required": False, "description": _DIGEST_HELP, "schema": _TEXT},
    ],
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": _FILE}, "multipart/form-data": {"schema": _FORM}},
    },
}
"""The OpenAPI description of an upload's body, which FastAPI cannot derive from a streamed request."""
_DISPOSITION_FILENAME = re.compile(r'filename="?([^";]+)"?')


async def store_body(
    request: Request, response: Response, context: Context, kind: Kind, idempotency_key: str | None
) -> Upload:
    """Store the request's file and set the status (201 if new, else 200) and `Location` of the response.

    Raises:
        QuantdError: the body is not an accepted file.
    """
    sha256 = sent_sha256(request)
    if is_form(request):
        async with request.form(max_files=1, max_fields=0) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise BadRequest("the form has no file in the field 'file'; accepted: one file in that field")
            name = clean_name(file.filename)
            upload, created = await store_upload(context, kind, file_chunks(file), name, sha256, idempotency_key)
    else:
        name = _sent_name(request)
        upload, created = await store_upload(context, kind, request.stream(), name, sha256, idempotency_key)
    response.status_code = 201 if created else 200
    response.headers["Location"] = f"/v1/{kind}s/{upload.id}"
    return upload


def is_form(request: Request) -> bool:
    """Return True if the body is a multipart form."""
    return request.headers.get("content-type", "").startswith("multipart/form-data")


async def file_chunks(file: UploadFile) -> AsyncIterator[bytes]:
    """Yield the bytes of a form's file in chunks."""
    while chunk := await file.read(CHUNK):
        yield chunk


def clean_name(name: str | None) -> str | None:
    """Return the last part of a caller's file name without unprintable characters; None if nothing is left."""
    last = re.split(r"[/\\]", name or "")[-1]
    return "".join(character for character in last if character.isprintable())[:255] or None


def _sent_name(request: Request) -> str | None:
    """Return the file name from X-Filename, Content-Disposition or `?filename=`."""
    disposition = _DISPOSITION_FILENAME.search(request.headers.get("content-disposition", ""))
    return clean_name(
        request.headers.get("x-filename")
        or (disposition.group(1) if disposition else None)
        or request.query_params.get("filename")
    )
