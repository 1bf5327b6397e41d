"""Path parameters, query parameters and request headers of the endpoints."""

from typing import Annotated, Any

from fastapi import Header, Path, Query

ModelId = Annotated[str, Path(description="The id of a model.")]
DatasetId = Annotated[str, Path(description="The id of a dataset.")]
UploadId = Annotated[str, Path(description="The id of an upload in progress.")]
JobId = Annotated[str, Path(description="The id of a job.")]
BatchId = Annotated[str, Path(description="The id of a batch.")]
PlanId = Annotated[str, Path(description="The id of a plan.")]
Limit = Annotated[int, Query(ge=1, le=100, description="The maximum number of items to return.")]


def _cursor(kind: str) -> Any:
    """Return the description of a cursor of a list of this kind; one of another list would skip or repeat items."""
    return Query(pattern=f"^{kind}_[0-9a-f]{{32}}$", description="The `next_cursor` of the previous page.")


ModelCursor = Annotated[str | None, _cursor("model")]
DatasetCursor = Annotated[str | None, _cursor("dataset")]
JobCursor = Annotated[str | None, _cursor("job")]
BatchCursor = Annotated[str | None, _cursor("batch")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        max_length=255,
        description="A key for safe retries: the same key and body return the first answer; another body returns 422.",
    ),
]
CacheControl = Annotated[
    str | None, Header(description="`no-cache` runs the job again, even if its result is already stored.")
]
Prefer = Annotated[
    str | None,
    Header(description="`wait=N` delays the answer until the job has ended, for at most N seconds (at most 60)."),
]
