"""The body of an upload: the file itself, or a form with the file in the field `file`."""

import re
from typing import Any

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from jobs.errors import BadRequest
from jobs.job import Upload
from jobs.redis_keys import Kind
from service.context import Context
from service.digests import sent_sha256
from service.sources.schemas import SOURCE_EXAMPLE, SourceIn
from service.uploads.form import form_parts, is_form
from service.uploads.storage import WrittenFile, discard_file, record_file, write_file

_TEXT = {"type": "string"}
_FILE = {"type": "string", "format": "binary"}
_FORM = {"type": "object", "properties": {"file": _FILE}, "required": ["file"]}
_FILENAME_HELP = "The file's name; the headers X-Filename and Content-Disposition can name it instead."
_NAME_HELP = "The file's name, which goes before that of the query."
_DIGEST_HELP = "`sha-256=:<base64>:` of the bytes (RFC 9530), verified; Content-Digest is accepted too."
BODY: dict[str, Any] = {
    "parameters": [
        {"name": "filename", "in": "query", "required": False, "description": _FILENAME_HELP, "schema": _TEXT},
        {"name": "X-Filename", "in": "header", "required": False, "description": _NAME_HELP, "schema": _TEXT},
        {"name": "Repr-Digest", "in": "header", "required": False, "description": _DIGEST_HELP, "schema": _TEXT},
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": _FILE},
            "multipart/form-data": {"schema": _FORM},
            "application/json": {"schema": SourceIn.model_json_schema(), "example": SOURCE_EXAMPLE},
        },
    },
}
"""The OpenAPI description of an upload's body, which FastAPI cannot derive from a streamed request."""
_ACCEPTED = "accepted: one file in the field 'file'"
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
        written = await _write_form(request, context, kind, sha256)
    else:
        written = await write_file(context, kind, request.stream(), _sent_name(request), sha256)
    upload, created = await run_in_threadpool(record_file, context, written, idempotency_key)
    response.status_code = 201 if created else 200
    response.headers["Location"] = f"/v1/{kind}s/{upload.id}"
    return upload


async def _write_form(request: Request, context: Context, kind: Kind, sha256: str | None) -> WrittenFile:
    """Write the only part of a form, a file in the field `file`, to the object store.

    Raises:
        QuantdError: the form has another part or none, or its file is refused; nothing is stored.
    """
    written: WrittenFile | None = None
    try:
        async for part in form_parts(request):
            if written is not None or part.name != "file" or part.filename is None:
                raise BadRequest(f"the form has the field {part.name!r}; {_ACCEPTED}")
            written = await write_file(context, kind, part.chunks, clean_name(part.filename), sha256)
    except BaseException:
        if written is not None:
            await run_in_threadpool(discard_file, context, written)
        raise
    if written is None:
        raise BadRequest(f"the form has no field; {_ACCEPTED}")
    return written


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
