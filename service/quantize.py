"""One call for scripts: the files and the spec in one form, uploaded and submitted together."""

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile

from jobs.errors import BadRequest
from jobs.redis_keys import Kind
from service.context import Context, Ctx
from service.documents import SPEC_BYTES, read_spec
from service.jobs import SUBMITTED, CacheControl, JobIn, Prefer, submit
from service.problems import RESPONSES
from service.schemas import JobOut
from service.submission import checked_spec
from service.uploads import IdempotencyKey, clean_name, file_chunks, store_upload

router = APIRouter(prefix="/v1", responses=RESPONSES)

FILES: dict[str, Kind] = {"model": "model", "calibration": "dataset", "evaluation": "dataset"}
TEXTS = ("spec", "preset")
ACCEPTED = "accepted: the files model, calibration and evaluation, and spec or preset, each once"
_FILE = {"type": "string", "format": "binary"}
_FORM = {
    "type": "object",
    "properties": {
        **dict.fromkeys(FILES, _FILE),
        "spec": {"type": "string", "description": "JSON or YAML, as text or as a file"},
        "preset": {"type": "string"},
    },
    "required": ["model"],
    "additionalProperties": False,
}


@router.post(
    "/quantize",
    status_code=202,
    responses=SUBMITTED,
    openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}},
)
async def quantize(
    request: Request,
    response: Response,
    context: Ctx,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
    cache_control: CacheControl = None,
) -> JobOut:
    """Upload and submit in one call, for scripts."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise BadRequest("the body is no form; accepted: multipart/form-data with the file 'model'")
    async with request.form(max_files=4, max_fields=2, max_part_size=SPEC_BYTES) as form:
        files = _files(form)
        spec = await _spec(form)
        checked_spec(spec, files)
        ids = {role: await _store(context, role, file) for role, file in files.items()}
    return await submit(context, JobIn(spec=spec, **ids), response, idempotency_key, prefer, cache_control)


def _files(form: FormData) -> dict[str, UploadFile]:
    """The files by their roles.

    Raises:
        BadRequest: no model, a file sent as text, or a field that is unknown or comes twice.
    """
    names = [name for name, _ in form.multi_items()]
    wrong = sorted({name for name in names if name not in (*FILES, *TEXTS) or names.count(name) > 1})
    if wrong:
        raise BadRequest(f"the form's fields {', '.join(map(repr, wrong))} are unknown or come twice; {ACCEPTED}")
    files = {role: form[role] for role in FILES if role in form}
    found = {role: file for role, file in files.items() if isinstance(file, UploadFile)}
    texts = sorted(set(files) - set(found))
    if texts:
        raise BadRequest(f"the form's field {texts[0]!r} is text without a filename; accepted: a file part")
    if "model" not in found:
        raise BadRequest(f"the form has no file 'model'; {ACCEPTED}")
    return found


async def _spec(form: FormData) -> dict[str, Any]:
    """The spec, sent as text or as a file; `preset` is short for the spec's own key, which wins."""
    texts = {name: await _text(form[name]) for name in TEXTS if name in form}
    spec = await run_in_threadpool(read_spec, texts.get("spec", ""))
    return {"preset": texts["preset"], **spec} if "preset" in texts else spec


async def _text(part: UploadFile | str) -> str:
    if isinstance(part, str):
        return part
    data = await part.read(SPEC_BYTES + 1)
    if len(data) > SPEC_BYTES:
        raise BadRequest(f"the spec is longer than {SPEC_BYTES} bytes; accepted: up to {SPEC_BYTES}")
    return data.decode(errors="replace")


async def _store(context: Context, role: str, file: UploadFile) -> str:
    upload, _ = await store_upload(context, FILES[role], file_chunks(file), clean_name(file.filename))
    return upload.id
