"""The form of `POST /v1/quantize`: the files model, calibration and evaluation, and the spec or a preset."""

from typing import Any

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile

from jobs.errors import BadRequest
from jobs.redis_keys import Kind
from service.documents import SPEC_BYTES, read_spec
from service.uploads.body import is_form

FILES: dict[str, Kind] = {"model": "model", "calibration": "dataset", "evaluation": "dataset"}
TEXTS = ("spec", "preset")
ACCEPTED = "accepted: the files model, calibration and evaluation, and spec or preset, each once"
_FILE = {"type": "string", "format": "binary"}
_FORM = {
    "type": "object",
    "properties": {
        **dict.fromkeys(FILES, _FILE),
        "spec": {"type": "string", "description": "The spec in JSON or YAML, as text or as a file."},
        "preset": {"type": "string", "description": "The preset; a preset in the spec replaces it."},
    },
    "required": ["model"],
    "additionalProperties": False,
}
BODY: dict[str, Any] = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}}
"""The OpenAPI description of the form."""


def check_form(request: Request) -> None:
    """Check that the body is a form.

    Raises:
        BadRequest: it is not.
    """
    if not is_form(request):
        raise BadRequest("the body is not a form; accepted: multipart/form-data with the file 'model'")


def form_files(form: FormData) -> dict[str, UploadFile]:
    """Return the files by role.

    Raises:
        BadRequest: the model is missing, a file was sent as text, or a field is unknown or occurs twice.
    """
    names = [name for name, _ in form.multi_items()]
    wrong = sorted({name for name in names if name not in (*FILES, *TEXTS) or names.count(name) > 1})
    if wrong:
        raise BadRequest(f"the form's fields {', '.join(map(repr, wrong))} are unknown or occur twice; {ACCEPTED}")
    fields = {role: form[role] for role in FILES if role in form}
    files = {role: field for role, field in fields.items() if isinstance(field, UploadFile)}
    texts = sorted(set(fields) - set(files))
    if texts:
        raise BadRequest(f"the form's field {texts[0]!r} is text without a filename; accepted: a file part")
    if "model" not in files:
        raise BadRequest(f"the form has no file 'model'; {ACCEPTED}")
    return files


async def form_spec(form: FormData) -> dict[str, Any]:
    """Return the spec, sent as text or as a file; a preset inside the spec overrides the field `preset`.

    Raises:
        BadRequest: a text is too long.
        SpecError: the spec cannot be read.
    """
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
