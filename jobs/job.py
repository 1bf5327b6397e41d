"""Jobs, uploads and the states of a job.

queued -> running -> succeeded | failed | cancelled. A queued job can also be cancelled directly. A running job whose
worker stopped responding is claimed by another worker.
"""

import re
import secrets
import time
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from jobs.errors import ErrorCode
from quant.outcome.baseline import Baseline
from quant.outcome.gates import GateResult, Verdict
from quant.outcome.latency import Latency
from quant.outcome.report.changes import BaselineComparison
from quant.outcome.stages import Stage
from quant.outcome.summary import Summary

Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""A UTC time in RFC 3339 format, to the millisecond."""


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

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Progress(FrozenModel):
    """The progress of the current stage: `done` of `total` steps."""

    fraction: float
    """The completed share of the current stage, 0 to 1."""
    done: int
    """The completed steps of the current stage."""
    total: int
    """The number of steps of the current stage."""
    message: str
    """The object of the current step, such as the name of a layer; it may be empty."""


class Gate(GateResult):  # a class of its own, so that the OpenAPI document calls it Gate
    """A checked gate: its limit, the measured value (null if it was not measured), and the result."""


class FieldProblem(FrozenModel):
    """A fault in the caller's document, located by a JSON pointer."""

    pointer: str
    """The JSON pointer to the fault; empty for the whole document."""
    detail: str
    """The fault, and what would be accepted."""


class Problem(FrozenModel):
    """RFC 9457 problem details."""

    type: str
    """A URI that identifies the kind of problem."""
    title: str
    """A short name of the kind of problem."""
    status: int
    """The HTTP status."""
    detail: str
    """The fault, and what would be accepted."""
    code: ErrorCode
    """A stable name of the kind of problem, for programs."""
    errors: tuple[FieldProblem, ...] = ()
    """The faults of the caller's document, if it has any."""


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


class Fetch(FrozenModel):
    """A model or dataset that a worker fetches.

    `source` is as the caller wrote it until the end, and then without the query of a URL, which may be a signature.
    `sha256` is the digest that the caller announced. `credentials` is the name of what the operator has set up.
    `stored_limit` is the number of bytes that the API key may keep stored.
    """

    kind: Literal["model", "dataset"]
    source: str
    filename: str | None = None
    sha256: str | None = None
    credentials: str | None = None
    stored_limit: int | None = None


CopyStatus = Literal["waiting", "retrying", "copied", "failed", "skipped"]
"""The state of the copy of a job's artifacts: `retrying` had failed attempts, `failed` has no more of them, and
`skipped` is that of a job without artifacts."""


class Destination(FrozenModel):
    """The place that a job's artifacts are copied to, and the state of the copy.

    `url` is as the caller wrote it until the copy ends, and then without the query of a URL. `credentials` is the name
    of what the operator has set up.
    """

    url: str
    credentials: str | None = None
    artifacts: tuple[str, ...] | None = None
    status: CopyStatus = "waiting"
    attempts: int = 0
    error: Problem | None = None
    finished_at: Timestamp | None = None


JobKind = Literal["job", "plan", "fetch"]
"""The kind of a record: a job; a plan, which describes what a job would do; or the fetch of a model or dataset."""


class Job(FrozenModel):
    """The record of a job, a plan or a fetch.

    The fields from `artifacts` on are internal: callers see them in another form or not at all.
    """

    id: str
    """The id of the job."""
    kind: JobKind = "job"
    """The kind of the record; only jobs are listed."""
    tenant: str
    """The tenant that the job belongs to."""
    status: Status
    """The state of the job."""
    stage: Stage | None = None
    """The stage that runs; null while the job does not run."""
    progress: Progress | None = None
    """The latest progress; null before the first."""
    model: str
    """The id of the model."""
    model_name: str | None = None
    """The name of the model's file; null if it had none. It stays when the model is deleted."""
    calibration: str | None = None
    """The id of the calibration dataset; null without one."""
    evaluation: str | None = None
    """The id of the evaluation dataset; null without one."""
    spec: dict[str, Any]
    """The spec as it was submitted."""
    tags: dict[str, str] = {}
    """The caller's tags by key."""
    priority: int = 0
    """The priority among the jobs of the tenant: each step counts as ten minutes of waiting."""
    batch: str | None = None
    """The id of the batch that the job belongs to; null without one."""
    created_at: Timestamp
    """The time of the submission (RFC 3339, UTC)."""
    started_at: Timestamp | None = None
    """The start of the latest attempt (RFC 3339, UTC); null while the job waits."""
    finished_at: Timestamp | None = None
    """The time at which the job ended (RFC 3339, UTC); null before."""
    attempt: int = 0
    """The number of attempts that were started."""
    cached: bool = False
    """True if the result is that of an earlier job."""
    baseline: Baseline | None = None
    """The earlier job that the job is compared with, as it was when the job was submitted."""
    verdict: Verdict = None
    """The result of all gates together; null without gates and before the job has ended."""
    gates: tuple[Gate, ...] = ()
    """The checked gates."""
    error: Problem | None = None
    """The reason of a failed job; else null."""
    summary: Summary | None = None
    """The most important figures of a job that succeeded; else null."""
    comparison: BaselineComparison | None = None
    """The comparison with the baseline; null without one and before the job has succeeded."""
    latency: Latency | None = None
    """The measured latency of both models; null if the spec asks for no measurement."""
    artifacts: tuple[Artifact, ...] = ()
    """The files that the job produced."""
    timings: dict[str, float] = {}
    """The seconds that each layer took, by the layer's name."""
    api_key: str = ""
    """The id of the key whose quota the job counts against; empty without API keys."""
    request_id: str = ""
    """The id of the request that submitted the job."""
    traceparent: str = ""
    """The trace context of that request (W3C)."""
    work: str = ""
    """The digest of everything that the artifacts depend on; empty if no other job may reuse them."""
    webhook: Webhook | None = None
    """The URL that is notified when the job ends."""
    destination: Destination | None = None
    """The place that the artifacts are copied to."""
    fetch: Fetch | None = None
    """The source of a fetch, whose id is that of the upload; null for jobs and plans."""
    idempotency: tuple[str, str] | None = None
    """The idempotency key of the submission and a fingerprint of its request."""

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
    created_at: Timestamp
    format: str
    source: str | None = None
    samples: int | None = None
    arrays: tuple[dict[str, Any], ...] = ()
    api_key: str = ""


def new_id(kind: str) -> str:
    """Return a new opaque id that sorts by creation time.

    The id is `kind`, an underscore, and in hexadecimal 48 bits of milliseconds since 1970 and 80 random bits.
    """
    return f"{kind}_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def is_id(text: str) -> bool:
    """Return True if the text has the characters of an id; no other one may become a part of a key."""
    return re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text) is not None


def now() -> str:
    """Return the current UTC time of this machine in RFC 3339 format, to the millisecond."""
    return timestamp(time.time())


def timestamp(time_s: float) -> str:
    """Return a time in seconds since 1970 in RFC 3339 format, in UTC and to the millisecond."""
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
