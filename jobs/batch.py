"""Batches: jobs that were submitted in one request, and that end together, once."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from pydantic import Field

from jobs.job import FrozenModel, Timestamp, Webhook
from quant.outcome.gates import Verdict

BATCH: Final = "batch"
"""The kind of their records, with which their ids begin."""


class BatchStatus(StrEnum):
    """The state of a batch: `running` until all of its jobs have ended.

    Then it is `failed` if a job failed, else `cancelled` if a job was cancelled, else `succeeded`.
    """

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Batch(FrozenModel):
    """The record of a batch. Its state follows from its jobs' records; the step that ends the last job ends it."""

    id: str
    """The id of the batch."""
    tenant: str
    """The tenant that the batch belongs to."""
    status: BatchStatus = BatchStatus.RUNNING
    """The state of the batch."""
    verdict: Verdict = None
    """`fail` if a gate of a job failed, else `pass`; null without gates and before the end."""
    jobs: tuple[str, ...]
    """The ids of its jobs, in the order of the request."""
    tags: Mapping[str, str] = Field(default_factory=dict)
    """The tags that all of its jobs got."""
    created_at: Timestamp
    """The time of the submission (RFC 3339, UTC)."""
    finished_at: Timestamp | None = None
    """The time at which its last job ended (RFC 3339, UTC); null before."""
    api_key: str = ""
    """The id of the key that submitted the batch; empty without API keys."""
    request_id: str = ""
    """The id of the request that submitted the batch."""
    webhook: Webhook | None = None
    """The URL that is notified when the batch ends."""
    idempotency: tuple[str, str] | None = None
    """The idempotency key of the submission and a fingerprint of its request."""

    @property
    def final(self) -> bool:
        """Return True if the batch has ended."""
        return self.status != BatchStatus.RUNNING
