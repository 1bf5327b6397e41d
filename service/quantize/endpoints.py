"""The endpoint that uploads a model and submits its job in one call."""

from fastapi import APIRouter, Request, Response
from starlette.datastructures import UploadFile

from service.context import Context, Ctx
from service.documents import SPEC_BYTES
from service.jobs.answer import SUBMITTED, submit
from service.jobs.schemas import JobIn, JobOut
from service.jobs.submission import checked_spec
from service.parameters import CacheControl, IdempotencyKey, Prefer
from service.problems import RESPONSES
from service.quantize.form import BODY, FILES, check_form, form_files, form_spec
from service.uploads.body import clean_name, file_chunks
from service.uploads.storage import store_upload

router = APIRouter(prefix="/v1", tags=["Jobs"], responses=RESPONSES)


@router.post(
    "/quantize",
    status_code=202,
    responses=SUBMITTED,
    openapi_extra=BODY,
    summary="Upload and submit in one call",
    response_description="The job as it was accepted, or as it ended if that was awaited.",
)
async def quantize(
    request: Request,
    response: Response,
    context: Ctx,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
    cache_control: CacheControl = None,
) -> JobOut:
    """Upload a model with its data and submit the job, for scripts."""
    check_form(request)
    async with request.form(max_files=4, max_fields=2, max_part_size=SPEC_BYTES) as form:
        files = form_files(form)
        spec = await form_spec(form)
        checked_spec(spec, files)  # before the files are stored
        ids = {role: await _store(context, role, file) for role, file in files.items()}
    return await submit(context, JobIn(spec=spec, **ids), response, idempotency_key, prefer, cache_control)


async def _store(context: Context, role: str, file: UploadFile) -> str:
    """Store a file of the form and return its id."""
    upload, _ = await store_upload(context, FILES[role], file_chunks(file), clean_name(file.filename))
    return upload.id
