"""The form of `POST /v1/quantize`: the files model, calibration and evaluation, and the other fields of a job."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from jobs.errors import BadRequest, Conflict, UnsupportedMediaType
from jobs.job import Upload
from jobs.redis_keys import Kind
from quant.errors import QuantdError
from quant.texts import closest
from service.context import Context
from service.documents import SPEC_BYTES, read_document, read_spec
from service.jobs.schemas import JobIn
from service.uploads.body import clean_name
from service.uploads.form import Part, form_parts, is_form
from service.uploads.inputs import INPUT_KINDS
from service.uploads.storage import WrittenFile, discard_file, record_file, withdraw_upload, write_file

DOCUMENTS = ("tags", "webhook", "priority", "baseline", "destination")
"""The fields of a job that are sent as JSON or YAML."""
TEXTS = ("spec", "preset", *DOCUMENTS)
ACCEPTED = f"accepted: the files {', '.join(INPUT_KINDS)} and the texts {', '.join(TEXTS)}, each once"
_FILE = {"type": "string", "format": "binary"}
_FORM = {
    "type": "object",
    "properties": {
        "model": {**_FILE, "description": "The model: an .onnx file, an archive with external data, or TorchScript."},
        "calibration": {**_FILE, "description": "The data for calibration, in one of the `dataset_formats`."},
        "evaluation": {**_FILE, "description": "The data for evaluation, in one of the `dataset_formats`."},
        "spec": {"type": "string", "description": "The spec in JSON or YAML, as text or as a file."},
        "preset": {"type": "string", "description": "The preset; a preset in the spec replaces it."},
        "tags": {"type": "string", "description": "The tags by key, as a JSON or YAML mapping."},
        "webhook": {
            "type": "string",
            "description": "The URL to notify when the job ends, and its secret, as a JSON or YAML mapping.",
        },
        "destination": {
            "type": "string",
            "description": "The place to copy the artifacts to, as a JSON or YAML mapping with `url` and so on.",
        },
        "priority": {"type": "string", "description": "The priority among the tenant's own jobs, -10 to 10."},
        "baseline": {"type": "string", "description": "The earlier job to compare with: its id or a tag `key:value`."},
    },
    "required": ["model"],
    "additionalProperties": False,
}
BODY: dict[str, Any] = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}}
"""The OpenAPI description of the form."""


@dataclass
class Form:
    """The fields of a form: its files by role, written and not yet recorded, and its texts by name.

    `recorded` has the uploads that were made of its files, without those that were stored before.
    """

    files: dict[str, WrittenFile] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    recorded: list[tuple[Kind, Upload]] = field(default_factory=list)

    def job(self) -> JobIn:
        """Return the job that the form describes, without the ids of its files.

        A preset inside the spec overrides the field `preset`.

        Raises:
            SpecError: the spec cannot be read.
            RequestValidationError: another field is not valid.
        """
        spec = read_spec(self.texts.get("spec", ""))
        preset = {"preset": self.texts["preset"]} if "preset" in self.texts else {}
        fields = {name: read_document(name, self.texts[name]) for name in DOCUMENTS if name in self.texts}
        try:
            return JobIn.model_validate({"model": "", "spec": {**preset, **spec}, **fields})
        except ValidationError as error:
            faults = [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors(include_url=False)]
            raise RequestValidationError(faults) from None

    def record(self, context: Context) -> dict[str, str]:
        """Record the files as uploads, and return their ids by role.

        Raises:
            QuantdError: a quota is used up; the file that exceeds it and those after it are not stored.
        """
        ids = {}
        for role in list(self.files):
            upload, created = record_file(context, self.files.pop(role))
            ids[role] = upload.id
            if created:
                self.recorded.append((INPUT_KINDS[role], upload))
        return ids


@asynccontextmanager
async def received_form(request: Request, context: Context) -> AsyncIterator[Form]:
    """Read a form while it arrives, its files into the object store.

    Those that are not recorded are then deleted, and after an error the recorded ones, too, unless others use them.

    Raises:
        QuantdError: the body is no form, a field is unknown, occurs twice or is too long, or a file is refused.
    """
    if not is_form(request):
        raise UnsupportedMediaType("the body is not a form; accepted: multipart/form-data with the file 'model'")
    form = Form()
    try:
        async for part in form_parts(request):
            await _receive(part, form, context)
        if "model" not in form.files:
            raise BadRequest(f"the form has no file 'model'; {ACCEPTED}")
        yield form
    except QuantdError:
        for kind, upload in form.recorded:
            with contextlib.suppress(Conflict):
                await run_in_threadpool(withdraw_upload, context, kind, upload)
        raise
    finally:
        for written in form.files.values():
            await run_in_threadpool(discard_file, context, written)


async def _receive(part: Part, form: Form, context: Context) -> None:
    """Read one part of the form.

    Raises:
        QuantdError: its field is unknown or occurred before, or its content is refused.
    """
    name = part.name
    if name not in (*INPUT_KINDS, *TEXTS):
        raise BadRequest(f"the form has an unknown field `{name}`{closest(name, (*INPUT_KINDS, *TEXTS))}; {ACCEPTED}")
    if name in form.files or name in form.texts:
        raise BadRequest(f"the form's field {name!r} occurs twice; {ACCEPTED}")
    if name in TEXTS:
        form.texts[name] = await part.text(SPEC_BYTES)
    elif part.filename is None:
        raise BadRequest(f"the form's field {name!r} is text without a filename; accepted: a file part")
    else:
        form.files[name] = await write_file(context, INPUT_KINDS[name], part.chunks, clean_name(part.filename))
