"""Models and datasets: uploaded as a stream, listed, deleted."""

import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from jobs.blobs import CHUNK, Stored
from jobs.errors import BadRequest
from jobs.job import Upload, new_id, now
from jobs.redis_keys import Kind
from quant.errors import UnreadableDataset
from service.context import Context, Ctx
from service.digests import sent_sha256
from service.formats import check_dataset, dataset_arrays, model_format
from service.problems import RESPONSES, header_docs
from service.quota import check_room

router = APIRouter(prefix="/v1", responses=RESPONSES)

Limit = Annotated[int, Query(ge=1, le=100, description="how many at most")]
IdempotencyKey = Annotated[
    str | None, Header(max_length=255, description="the same key and body: the same answer; another body: 422")
]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the page before")]
BODY = {
    "parameters": [
        {"name": name, "in": place, "required": False, "description": text, "schema": {"type": "string"}}
        for name, place, text in (
            ("filename", "query", "the file's name; so do X-Filename and Content-Disposition"),
            ("Repr-Digest", "header", "`sha-256=:<base64>:` of the bytes (RFC 9530); Content-Digest is as good"),
        )
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "string", "format": "binary"}},
                    "required": ["file"],
                }
            },
        },
    },
}
THERE = header_docs(Location="the model or dataset")
_FILENAME = re.compile(r'filename="?([^";]+)"?')


class ModelOut(BaseModel):
    """A stored model."""

    id: str
    sha256: str
    size: int
    format: str
    filename: str | None
    created_at: str


class ArrayOut(BaseModel):
    name: str
    dtype: str
    shape: list[int]


class DatasetOut(BaseModel):
    """A stored dataset; `samples` is the length of the first axis."""

    id: str
    sha256: str
    size: int
    samples: int
    arrays: list[ArrayOut]
    filename: str | None
    created_at: str


class ModelPage(BaseModel):
    items: list[ModelOut]
    next_cursor: str | None


class DatasetPage(BaseModel):
    items: list[DatasetOut]
    next_cursor: str | None


@router.post(
    "/models",
    status_code=201,
    response_model=ModelOut,
    responses={200: {"model": ModelOut, "headers": THERE}, 201: {"headers": THERE}},
    openapi_extra=BODY,
)
async def upload_model(
    request: Request, response: Response, context: Ctx, idempotency_key: IdempotencyKey = None
) -> Upload:
    """Store a model; the same bytes again answer 200 with the same id."""
    return await _upload(request, response, context, "model", idempotency_key)


@router.get("/models")
def list_models(context: Ctx, limit: Limit = 20, cursor: Cursor = None) -> ModelPage:
    items, following = context.records.uploads(context.tenant, "model", limit, cursor)
    return ModelPage.model_validate({"items": [item.model_dump() for item in items], "next_cursor": following})


@router.get("/models/{model_id}", response_model=ModelOut)
def get_model(model_id: str, context: Ctx) -> Upload:
    return context.records.upload("model", model_id, context.tenant)


@router.delete("/models/{model_id}", status_code=204)
def delete_model(model_id: str, context: Ctx) -> None:
    _delete(context, "model", model_id)


@router.post(
    "/datasets",
    status_code=201,
    response_model=DatasetOut,
    responses={200: {"model": DatasetOut, "headers": THERE}, 201: {"headers": THERE}},
    openapi_extra=BODY,
)
async def upload_dataset(
    request: Request, response: Response, context: Ctx, idempotency_key: IdempotencyKey = None
) -> Upload:
    """Store calibration or evaluation data; the same bytes again answer 200 with the same id."""
    return await _upload(request, response, context, "dataset", idempotency_key)


@router.get("/datasets")
def list_datasets(context: Ctx, limit: Limit = 20, cursor: Cursor = None) -> DatasetPage:
    items, following = context.records.uploads(context.tenant, "dataset", limit, cursor)
    return DatasetPage.model_validate({"items": [item.model_dump() for item in items], "next_cursor": following})


@router.get("/datasets/{dataset_id}", response_model=DatasetOut)
def get_dataset(dataset_id: str, context: Ctx) -> Upload:
    return context.records.upload("dataset", dataset_id, context.tenant)


@router.delete("/datasets/{dataset_id}", status_code=204)
def delete_dataset(dataset_id: str, context: Ctx) -> None:
    _delete(context, "dataset", dataset_id)


async def store_upload(
    context: Context,
    kind: Kind,
    chunks: AsyncIterator[bytes],
    filename: str | None,
    sha256: str | None = None,
    idempotency_key: str | None = None,
) -> tuple[Upload, bool]:
    """Stream bytes to the object store and record them; False where the tenant had them already.

    Raises:
        QuantdError: the bytes are too many, not those of the digest, or of no kind that is accepted; none are kept.
    """
    settings = context.settings
    limit = settings.max_model_bytes if kind == "model" else settings.max_dataset_bytes
    await run_in_threadpool(check_room, context)
    upload_id = new_id(kind)
    key = f"{context.tenant}/{kind}s/{upload_id}"
    check = model_format if kind == "model" else check_dataset
    stored = await context.blobs.write(key, chunks, check, limit, sha256)
    return await run_in_threadpool(_record, context, kind, upload_id, key, stored, filename, idempotency_key)


def clean_name(name: str | None) -> str | None:
    """A caller's filename without any folder and without what cannot be printed."""
    last = re.split(r"[/\\]", name or "")[-1]
    return "".join(character for character in last if character.isprintable())[:255] or None


async def file_chunks(file: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await file.read(CHUNK):
        yield chunk


async def _upload(
    request: Request, response: Response, context: Context, kind: Kind, idempotency_key: str | None
) -> Upload:
    sha256 = sent_sha256(request)
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        async with request.form(max_files=1, max_fields=0) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise BadRequest("the form has no file in the field 'file'; accepted: one file there")
            chunks, name = file_chunks(file), clean_name(file.filename)
            upload, created = await store_upload(context, kind, chunks, name, sha256, idempotency_key)
    else:
        chunks, name = request.stream(), _sent_name(request)
        upload, created = await store_upload(context, kind, chunks, name, sha256, idempotency_key)
    response.status_code = 201 if created else 200
    response.headers["Location"] = f"/v1/{kind}s/{upload.id}"
    return upload


def _record(
    context: Context,
    kind: Kind,
    upload_id: str,
    key: str,
    stored: Stored,
    filename: str | None,
    idempotency_key: str | None,
) -> tuple[Upload, bool]:
    try:
        described = _describe(context, kind, key, stored)
    except Exception:
        context.blobs.delete(key)
        raise
    upload = Upload(
        id=upload_id, tenant=context.tenant, key=key, sha256=stored.sha256, size=stored.size,
        filename=filename, created_at=now(), api_key=context.caller.key_id, **described,
    )  # fmt: skip
    context.archive.put_upload(upload)
    kept = None
    try:
        kept, created = context.records.add_upload(kind, upload, context.caller.allowance.stored, idempotency_key or "")
    finally:
        if kept is None or kept.id != upload.id:
            context.archive.drop_upload(upload)
    return kept, created


def _describe(context: Context, kind: Kind, key: str, stored: Stored) -> dict[str, Any]:
    if kind == "model":
        return {"format": model_format(stored.head)}
    with context.blobs.open(key) as file:
        form, arrays = dataset_arrays(file, stored.size, context.settings.max_dataset_bytes)
    counts = [array["shape"][0] for array in arrays if array["name"] not in ("mean", "std") and array["shape"]]
    if not counts:
        raise UnreadableDataset("no array has an axis of samples; accepted: one array a model input, samples first")
    return {"format": form, "samples": counts[0], "arrays": tuple(arrays)}


def _sent_name(request: Request) -> str | None:
    """The name by X-Filename, Content-Disposition or ?filename="""
    disposition = _FILENAME.search(request.headers.get("content-disposition", ""))
    return clean_name(
        request.headers.get("x-filename")
        or (disposition.group(1) if disposition else None)
        or request.query_params.get("filename")
    )


def _delete(context: Context, kind: Kind, upload_id: str) -> None:
    upload = context.records.upload(kind, upload_id, context.tenant)
    context.records.delete_upload(kind, upload)
    context.archive.drop_upload(upload)
