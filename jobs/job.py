"""What a job, a model and a dataset are, and which states a job passes through.

queued -> running -> succeeded | failed | cancelled; a queued job can be cancelled, a running one that lost its
worker is claimed again.
"""

import secrets
import time
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Status(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Stage(StrEnum):
    """What a running job is at."""

    LOADING = "loading"
    NORMALISING = "normalising"
    FITTING = "fitting"
    QUANTIZING = "quantizing"
    CALIBRATING = "calibrating"
    CORRECTING = "correcting"
    EXPORTING = "exporting"
    EVALUATING = "evaluating"
    STORING = "storing"


FINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})


class FrozenModel(BaseModel):
    model_config = ConfigDict(frozen=True)


class Progress(FrozenModel):
    """How far the stage is: `done` of `total` steps."""

    fraction: float
    done: int
    total: int
    message: str


class Gate(FrozenModel):
    name: str
    limit: float
    value: float | None
    passed: bool


class Summary(FrozenModel):
    """What a job came to: sizes in bytes, SQNR in dB, top-1 in percent; None where the data for it was not given."""

    bytes_before: int
    bytes_after: int
    size_ratio: float
    layers: int
    quantized_layers: int
    weight_sqnr_db: float | None
    output_sqnr_db: float | None
    output_cosine: float | None
    top1_agreement: float | None
    top1_float: float | None
    top1_quantized: float | None
    seconds: float | None


class FieldProblem(FrozenModel):
    """One fault at one place of the caller's document."""

    pointer: str
    detail: str


class Problem(FrozenModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: tuple[FieldProblem, ...] = ()


class Artifact(FrozenModel):
    """A file that a job made; `key` is its place in the object store and is not shown."""

    name: str
    size: int
    sha256: str
    media_type: str
    key: str


class Webhook(FrozenModel):
    """Where a job's end is told; with a secret (`whsec_...`) signed as Standard Webhooks say."""

    url: str
    secret: str | None = None


class Job(FrozenModel):
    """A job as callers see it, with what the service keeps beside: from `artifacts` on, nothing is shown as it is.

    `api_key` is the id of the key that it counts for, `work` a digest of everything that its artifacts depend on.
    """

    id: str
    tenant: str
    status: Status
    stage: Stage | None = None
    progress: Progress | None = None
    model: str
    calibration: str | None = None
    evaluation: str | None = None
    spec: dict[str, Any]
    tags: dict[str, str] = {}
    created_at: str
    started_at: str | None = None
    finished_at: str | None = None
    attempt: int = 0
    cached: bool = False
    verdict: Literal["pass", "fail"] | None = None
    gates: tuple[Gate, ...] = ()
    error: Problem | None = None
    summary: Summary | None = None
    artifacts: tuple[Artifact, ...] = ()
    timings: dict[str, float] = {}
    api_key: str = ""
    request_id: str = ""
    traceparent: str = ""
    work: str = ""
    webhook: Webhook | None = None

    @property
    def final(self) -> bool:
        return self.status in FINAL


class Upload(FrozenModel):
    """A stored model or dataset; `key` is its place in the object store, `api_key` the id of the key it counts for."""

    id: str
    tenant: str
    key: str
    sha256: str
    size: int
    filename: str | None
    created_at: str
    format: str
    samples: int | None = None
    arrays: tuple[dict[str, Any], ...] = ()
    api_key: str = ""


def new_id(kind: str) -> str:
    """An opaque id that sorts by time: `job_` and 48 bits of milliseconds, then 80 random ones, in hexadecimal."""
    return f"{kind}_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def now() -> str:
    """The time as RFC 3339 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
