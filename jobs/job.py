"""Jobs, uploads and the states of a job.

queued -> running -> succeeded | failed | cancelled. A queued job can also be cancelled directly. A running job whose
worker stopped responding is claimed by another worker.
"""

import secrets
import time
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from quant.outcome.gates import GateResult, Verdict
from quant.outcome.latency import Latency
from quant.outcome.stages import Stage
from quant.outcome.summary import Summary


class Status(StrEnum):
    """The state of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})
"""The states that a job never leaves."""


class FrozenModel(BaseModel):
    """A pydantic model whose fields cannot be assigned."""

    model_config = ConfigDict(frozen=True)


class Progress(FrozenModel):
    """The progress of the current stage: `done` of `total` steps."""

    fraction: float
    done: int
    total: int
    message: str


class Gate(GateResult):  # a class of its own, so that the OpenAPI document calls it Gate
    """A checked gate: its limit, the measured value (null if it was not measured), and the result."""


class FieldProblem(FrozenModel):
    """A fault in the caller's document, located by a JSON pointer."""

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
    """A file produced by a job; `key` is its key in the object store and is never shown to callers."""

    name: str
    size: int
    sha256: str
    media_type: str
    key: str


class Webhook(FrozenModel):
    """The URL notified when a job ends; with a secret (`whsec_...`) the request is signed (Standard Webhooks)."""

    url: str
    secret: str | None = None


class Job(FrozenModel):
    """The record of a job.

    The fields from `artifacts` on are internal: callers see them in another form or not at all. `api_key` is the id of
    the key whose quota the job counts against; `work` is the digest of everything that the artifacts depend on.
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
    verdict: Verdict = None
    gates: tuple[Gate, ...] = ()
    error: Problem | None = None
    summary: Summary | None = None
    latency: Latency | None = None
    artifacts: tuple[Artifact, ...] = ()
    timings: dict[str, float] = {}
    api_key: str = ""
    request_id: str = ""
    traceparent: str = ""
    work: str = ""
    webhook: Webhook | None = None

    @property
    def final(self) -> bool:
        """Return True if the job has ended."""
        return self.status in FINAL


class Upload(FrozenModel):
    """The record of a stored model or dataset.

    `key` is its key in the object store; `api_key` is the id of the key whose quota it counts against.
    """

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
    """Return a new opaque id that sorts by creation time.

    The id is `kind`, an underscore, and in hexadecimal 48 bits of milliseconds since 1970 and 80 random bits.
    """
    return f"{kind}_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def now() -> str:
    """Return the current UTC time in RFC 3339 format, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
