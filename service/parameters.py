"""Path parameters, query parameters and request headers of the endpoints."""

from typing import Annotated

from fastapi import Header, Path, Query

ModelId = Annotated[str, Path(description="The id of a model.")]
DatasetId = Annotated[str, Path(description="The id of a dataset.")]
UploadId = Annotated[str, Path(description="The id of an upload in progress.")]
JobId = Annotated[str, Path(description="The id of a job.")]
PlanId = Annotated[str, Path(description="The id of a plan.")]
Limit = Annotated[int, Query(ge=1, le=100, description="The maximum number of items to return.")]
Cursor = Annotated[
    str | None,
    Query(pattern="^[a-z]+_[0-9a-f]{32}$", description="The `next_cursor` of the previous page."),
]
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
