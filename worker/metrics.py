"""The metrics of a worker, and the trace spans of the stages of a job."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from opentelemetry import trace
from prometheus_client import Counter, Histogram, start_http_server

from quant.outcome.stages import Stage

STAGE_SECONDS = Histogram(
    "quantd_job_stage_seconds", "How long jobs were at each stage.", ["stage"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600),
)  # fmt: skip
ENDED = Counter("quantd_jobs_ended", "Jobs that ended.", ["status"])
FAILURES = Counter("quantd_job_failures", "Jobs that failed.", ["code"])
CHILD_MEMORY = Histogram(
    "quantd_child_memory_bytes", "The most memory that a job's process had resident.",
    buckets=tuple(2**power for power in range(26, 37)),
)  # fmt: skip

_tracer = trace.get_tracer("quantd.worker")


class Stages:
    """A timer of stages: `with Stages() as stages:` measures the time from one `enter` to the next."""

    def __init__(self) -> None:
        self._stage: Stage | None = None
        self._began = time.monotonic()
        self._span: trace.Span | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        self._leave()

    def enter(self, stage: Stage) -> None:
        """Begin a stage, and end the one before."""
        if stage != self._stage:
            self._leave()
            self._stage, self._began, self._span = stage, time.monotonic(), _tracer.start_span(stage)

    def _leave(self) -> None:
        if self._stage is not None and self._span is not None:
            STAGE_SECONDS.labels(self._stage).observe(time.monotonic() - self._began)
            self._span.end()
            self._stage = None


def count_end(status: str, problem: Mapping[str, Any] | None) -> None:
    """Count the end of a job, and the error code of a failed one."""
    ENDED.labels(status).inc()
    if problem is not None:
        FAILURES.labels(problem["code"]).inc()


def serve_metrics(address: str | None) -> None:
    """Answer Prometheus at `address` (`host:port`); do nothing for None."""
    if address is not None:
        host, _, port = address.rpartition(":")
        start_http_server(int(port), host)
