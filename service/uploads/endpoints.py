"""Endpoints that upload, list, show and delete models and datasets."""

from typing import Any

from fastapi import APIRouter, Request, Response

from jobs.job import Upload
from service.context import Ctx
from service.parameters import DatasetCursor, DatasetId, IdempotencyKey, Limit, ModelCursor, ModelId
from service.problems import RESPONSES, header_docs, problems
from service.uploads.body import BODY, store_body
from service.uploads.schemas import DatasetOut, DatasetPage, ModelOut, ModelPage
from service.uploads.storage import delete_upload

router = APIRouter(prefix="/v1", tags=["Models and datasets"], responses=RESPONSES)


def _created(schema: type[ModelOut | DatasetOut]) -> dict[int | str, dict[str, Any]]:
    """Return the documented answers of an upload."""
    headers = header_docs(Location="The URL of the model or dataset.")
    return {
        200: {"model": schema, "headers": headers, "description": "These bytes were already stored."},
        201: {"headers": headers},
        **problems(404, 413, 415, 422),
    }


@router.post(
    "/models",
    summary="Upload a model",
    response_description="The new model.",
    status_code=201,
    response_model=ModelOut,
    responses=_created(ModelOut),
    openapi_extra=BODY,
)
async def create_model(
    request: Request, response: Response, context: Ctx, idempotency_key: IdempotencyKey = None
) -> Upload:
    """Store a model: an .onnx file, a zip or tar with external data, or TorchScript.

    Uploading the same bytes again returns 200 and the same id.
    """
    return await store_body(request, response, context, "model", idempotency_key)


@router.get("/models", summary="List models", response_description="One page of models.")
def list_models(context: Ctx, limit: Limit = 20, cursor: ModelCursor = None) -> ModelPage:
    """List the stored models, newest first."""
    models, next_cursor = context.records.uploads(context.tenant, "model", limit, cursor)
    return ModelPage.model_validate({"items": [model.model_dump() for model in models], "next_cursor": next_cursor})


@router.get(
    "/models/{model_id}",
    summary="Show a model",
    response_description="The model.",
    response_model=ModelOut,
    responses=problems(404),
)
def get_model(model_id: ModelId, context: Ctx) -> Upload:
    """Show a stored model with its size, digest and format."""
    return context.records.upload("model", model_id, context.tenant)


@router.delete(
    "/models/{model_id}",
    summary="Delete a model",
    response_description="The model was deleted.",
    status_code=204,
    responses=problems(404, 409),
)
def delete_model(model_id: ModelId, context: Ctx) -> None:
    """Delete a model. The answer is 409 while a job that has not ended uses it."""
    delete_upload(context, "model", model_id)


@router.post(
    "/datasets",
    summary="Upload a dataset",
    response_description="The new dataset.",
    status_code=201,
    response_model=DatasetOut,
    responses=_created(DatasetOut),
    openapi_extra=BODY,
)
async def create_dataset(
    request: Request, response: Response, context: Ctx, idempotency_key: IdempotencyKey = None
) -> Upload:
    """Store calibration or evaluation data as .npz or .npy.

    Uploading the same bytes again returns 200 and the same id.
    """
    return await store_body(request, response, context, "dataset", idempotency_key)


@router.get("/datasets", summary="List datasets", response_description="One page of datasets.")
def list_datasets(context: Ctx, limit: Limit = 20, cursor: DatasetCursor = None) -> DatasetPage:
    """List the stored datasets, newest first."""
    datasets, next_cursor = context.records.uploads(context.tenant, "dataset", limit, cursor)
    items = [dataset.model_dump() for dataset in datasets]
    return DatasetPage.model_validate({"items": items, "next_cursor": next_cursor})


@router.get(
    "/datasets/{dataset_id}",
    summary="Show a dataset",
    response_description="The dataset.",
    response_model=DatasetOut,
    responses=problems(404),
)
def get_dataset(dataset_id: DatasetId, context: Ctx) -> Upload:
    """Show a stored dataset with the names, types and shapes of its arrays."""
    return context.records.upload("dataset", dataset_id, context.tenant)


@router.delete(
    "/datasets/{dataset_id}",
    summary="Delete a dataset",
    response_description="The dataset was deleted.",
    status_code=204,
    responses=problems(404, 409),
)
def delete_dataset(dataset_id: DatasetId, context: Ctx) -> None:
    """Delete a dataset. The answer is 409 while a job that has not ended uses it."""
    delete_upload(context, "dataset", dataset_id)
