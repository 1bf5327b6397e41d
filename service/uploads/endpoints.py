"""Endpoints that upload, list, show and delete models and datasets."""

from typing import Any

from fastapi import APIRouter, Request, Response

from jobs.job import Job, Upload
from jobs.redis_keys import Kind
from service.context import Context, Ctx
from service.parameters import DatasetCursor, DatasetId, IdempotencyKey, Limit, ModelCursor, ModelId
from service.problems import RESPONSES, header_docs, problems
from service.sources.answer import fetch_source, find_upload, remove_upload
from service.sources.schemas import names_source
from service.uploads.body import BODY, store_body
from service.uploads.schemas import DatasetOut, DatasetPage, ModelOut, ModelPage, dataset_out, model_out

router = APIRouter(prefix="/v1", tags=["Models and datasets"], responses=RESPONSES)


def _created(schema: type[ModelOut | DatasetOut]) -> dict[int | str, dict[str, Any]]:
    """Return the documented answers of an upload."""
    headers = header_docs(Location="The URL of the model or dataset.")
    return {
        200: {"model": schema, "headers": headers, "description": "These bytes were already stored."},
        201: {"headers": headers},
        202: {
            "model": schema,
            "headers": headers | header_docs(Retry_After="The seconds to wait before the next look."),
            "description": "The file is fetched from its source.",
        },
        **problems(404, 413, 415, 422),
    }


async def _received(
    request: Request, response: Response, context: Context, kind: Kind, idempotency_key: str | None
) -> Upload | Job:
    """Store the file of the body, or accept to fetch the file that it names."""
    receive = fetch_source if names_source(request) else store_body
    return await receive(request, response, context, kind, idempotency_key)


@router.post(
    "/models",
    summary="Upload a model",
    response_description="The new model.",
    status_code=201,
    responses=_created(ModelOut),
    openapi_extra=BODY,
)
async def create_model(
    request: Request, response: Response, context: Ctx, idempotency_key: IdempotencyKey = None
) -> ModelOut:
    """Store a model: an .onnx file, a zip or tar with external data, or TorchScript.

    Uploading the same bytes again returns 200 and the same id. A JSON body names a source instead, from which a worker
    fetches the file: the answer is then 202, and a job may name the file at once.
    """
    return model_out(await _received(request, response, context, "model", idempotency_key))


@router.get("/models", summary="List models", response_description="One page of models.")
def list_models(context: Ctx, limit: Limit = 20, cursor: ModelCursor = None) -> ModelPage:
    """List the stored models, newest first."""
    models, next_cursor = context.records.uploads(context.tenant, "model", limit, cursor)
    return ModelPage(items=[model_out(model) for model in models], next_cursor=next_cursor)


@router.get(
    "/models/{model_id}",
    summary="Show a model",
    response_description="The model.",
    responses=problems(404),
)
def get_model(model_id: ModelId, response: Response, context: Ctx) -> ModelOut:
    """Show a stored model with its size, digest and format."""
    return model_out(find_upload(context, "model", model_id, response))


@router.delete(
    "/models/{model_id}",
    summary="Delete a model",
    response_description="The model was deleted.",
    status_code=204,
    responses=problems(404, 409),
)
def delete_model(model_id: ModelId, context: Ctx) -> None:
    """Delete a model, or stop its fetch. The answer is 409 while a job that has not ended uses it."""
    remove_upload(context, "model", model_id)


@router.post(
    "/datasets",
    summary="Upload a dataset",
    response_description="The new dataset.",
    status_code=201,
    responses=_created(DatasetOut),
    openapi_extra=BODY,
)
async def create_dataset(
    request: Request, response: Response, context: Ctx, idempotency_key: IdempotencyKey = None
) -> DatasetOut:
    """Store calibration or evaluation data: .npz, .npy, .safetensors, HDF5 or a zip of images.

    Uploading the same bytes again returns 200 and the same id. A JSON body names a source instead, from which a worker
    fetches the file: the answer is then 202, and a job may name the file at once.
    """
    return dataset_out(await _received(request, response, context, "dataset", idempotency_key))


@router.get("/datasets", summary="List datasets", response_description="One page of datasets.")
def list_datasets(context: Ctx, limit: Limit = 20, cursor: DatasetCursor = None) -> DatasetPage:
    """List the stored datasets, newest first."""
    datasets, next_cursor = context.records.uploads(context.tenant, "dataset", limit, cursor)
    return DatasetPage(items=[dataset_out(dataset) for dataset in datasets], next_cursor=next_cursor)


@router.get(
    "/datasets/{dataset_id}",
    summary="Show a dataset",
    response_description="The dataset.",
    responses=problems(404),
)
def get_dataset(dataset_id: DatasetId, response: Response, context: Ctx) -> DatasetOut:
    """Show a stored dataset with the names, types and shapes of its arrays."""
    return dataset_out(find_upload(context, "dataset", dataset_id, response))


@router.delete(
    "/datasets/{dataset_id}",
    summary="Delete a dataset",
    response_description="The dataset was deleted.",
    status_code=204,
    responses=problems(404, 409),
)
def delete_dataset(dataset_id: DatasetId, context: Ctx) -> None:
    """Delete a dataset, or stop its fetch. The answer is 409 while a job that has not ended uses it."""
    remove_upload(context, "dataset", dataset_id)
