"""The description of the webhooks that announce the end of a job or a batch, for the OpenAPI document."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header
from pydantic import BaseModel, ConfigDict

from jobs.job import Timestamp
from service.batches.schemas import BatchOut
from service.jobs.schemas import JobOut


class JobEnded(BaseModel):
    """The message that a job has ended."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: Literal["job.succeeded", "job.failed", "job.cancelled"]
    """The kind of the end."""
    timestamp: Timestamp
    """The time at which the job ended (RFC 3339, UTC)."""
    data: JobOut
    """The job, as `GET /v1/jobs/{id}` shows it."""


class BatchEnded(BaseModel):
    """The message that a batch has ended."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: Literal["batch.ended"]
    """The kind of the message."""
    timestamp: Timestamp
    """The time at which the last job ended (RFC 3339, UTC)."""
    data: BatchOut
    """The batch, as `GET /v1/batches/{id}` shows it."""


MessageId = Annotated[
    str, Header(alias="webhook-id", description="The id of the message, the same in every attempt to deliver it.")
]
SentAt = Annotated[
    int, Header(alias="webhook-timestamp", description="The time of this attempt, in seconds since 1970.")
]
Signature = Annotated[
    str,
    Header(
        alias="webhook-signature",
        description="`v1,` and the HMAC-SHA256 of `{webhook-id}.{webhook-timestamp}.{body}` in base64; "
        "absent without a secret (Standard Webhooks).",
    ),
]
ANSWERS: dict[int | str, dict[str, Any]] = {
    "2XX": {"description": "The message is received."},
    410: {"description": "No more messages are wanted."},
}
router = APIRouter()


@router.post(
    "jobEnded",
    operation_id="jobEnded",
    tags=["Webhooks"],
    summary="A job has ended",
    status_code=204,
    responses=ANSWERS,
    response_description="The message is received.",
)
def job_ended(body: JobEnded, message_id: MessageId, sent_at: SentAt, signature: Signature = "") -> None:
    """Receive the message that a job with a `webhook` has ended.

    Any answer but 2xx and 410 is followed by another attempt, up to eight in 32 hours.
    """


@router.post(
    "batchEnded",
    operation_id="batchEnded",
    tags=["Webhooks"],
    summary="A batch has ended",
    status_code=204,
    responses=ANSWERS,
    response_description="The message is received.",
)
def batch_ended(body: BatchEnded, message_id: MessageId, sent_at: SentAt, signature: Signature = "") -> None:
    """Receive the message that the last job of a batch with a `webhook` has ended.

    Any answer but 2xx and 410 is followed by another attempt, up to eight in 32 hours.
    """
