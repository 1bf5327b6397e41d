"""A run as its callers saw it: every answer, state, event, result and fault, in seconds since the start of the run."""

import json
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

FINAL = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True)
class Answer:
    """A request and its answer.

    Attributes:
        sent: the time at which it was sent.
        received: the time of the answer, or of the error without an answer.
        gateway: the gateway that it was sent to.
        operation: its purpose, such as `submit`.
        subject: the job, upload or key that it is about.
        status: the HTTP status; None if there was no answer.
        retry_after: True if the answer had a Retry-After.
        detail: the code of a problem, or the error without an answer.
    """

    sent: float
    received: float
    gateway: str
    operation: str
    subject: str
    status: int | None
    retry_after: bool = False
    detail: str = ""


@dataclass(frozen=True)
class Accepted:
    """A job that was accepted for a tenant, under an idempotency key; `variant` names its input."""

    at: float
    job: str
    tenant: str
    key: str
    variant: str


@dataclass(frozen=True)
class Seen:
    """The answer to a look at a job by its owner: a state, or `missing` for a 404."""

    sent: float
    received: float
    job: str
    state: str


@dataclass(frozen=True)
class Cancelled:
    """A request to cancel a job that was answered with 202 at `at`."""

    at: float
    job: str


@dataclass(frozen=True)
class Streamed:
    """The events of a job that a caller followed to their end, over as many connections as it took.

    Attributes:
        job: the job.
        ids: the ids of all events, in the order in which they came.
        states: the states of the events of the kind `state`.
        ended: True if the stream ended by itself.
    """

    job: str
    ids: tuple[str, ...]
    states: tuple[str, ...]
    ended: bool


@dataclass(frozen=True)
class Result:
    """A job as it is after the run.

    Attributes:
        job: the job.
        state: its state; `missing` if it is not found.
        code: the code of its error; empty without an error.
        digests: the SHA-256 of each artifact's downloaded bytes, by name.
        listed: the SHA-256 of each artifact as the service lists it, by name.
        times: creation, start and end in seconds since 1970, as far as they are given.
        attempt: the number of its attempts.
    """

    job: str
    state: str
    code: str = ""
    digests: dict[str, str] = field(default_factory=dict)
    listed: dict[str, str] = field(default_factory=dict)
    times: tuple[float, ...] = ()
    attempt: int = 0


@dataclass(frozen=True)
class Uploaded:
    """An upload that was accepted with the digest `sent`; `stored` is its digest after the run, None if it is lost."""

    upload: str
    sent: str
    stored: str | None


@dataclass(frozen=True)
class Notified:
    """A webhook that arrived for a job with a state; `signed` is True if its signature is valid."""

    at: float
    job: str
    state: str
    signed: bool


@dataclass(frozen=True)
class Used:
    """The use of an API key as the service counts it, open jobs and stored bytes, beside the true number of bytes."""

    key: str
    when: str
    open_jobs: int
    stored: int
    true_bytes: int


@dataclass(frozen=True)
class Ended:
    """A process of the service that ended by itself, with its exit status or the negative number of a signal."""

    at: float
    process: str
    code: int


@dataclass(frozen=True)
class Fault:
    """A fault and the time during which it lasted.

    Attributes:
        kind: the kind, a name of `benchmarks.reliability.faults.FAULTS`.
        target: the process or store that it hit.
        begun: its beginning.
        ended: the time at which its cause was taken away; a killed process is started again then.
        lossy: True if writes that were answered may be lost, as after a fail-over to a replica.
    """

    kind: str
    target: str
    begun: float
    ended: float
    lossy: bool = False


@dataclass
class History:
    """The records of a run, which threads add to.

    Attributes:
        references: the outcome of each variant without faults: its state, code and the digests of its artifacts.
        webhooks: the jobs that have a webhook.
        orphans: the keys of blobs that no record names, after maintenance.
    """

    references: dict[str, Result] = field(default_factory=dict)
    webhooks: set[str] = field(default_factory=set)
    orphans: list[str] = field(default_factory=list)
    records: list[Any] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, *records: Any) -> None:
        """Append records."""
        with self._lock:
            self.records.extend(records)

    def of(self, kind: "type[Record]") -> "list[Record]":
        """Return the records of a kind, in the order in which they were added."""
        with self._lock:
            return [record for record in self.records if type(record) is kind]

    def write(self, path: Path) -> None:
        """Write the history to a file, so that it can be checked again."""
        references = {variant: asdict(result) for variant, result in self.references.items()}
        records = [[type(record).__name__, asdict(record)] for record in self.records]
        document = {"references": references, "webhooks": sorted(self.webhooks), "orphans": self.orphans}
        path.write_text(json.dumps(document | {"records": records}))

    @classmethod
    def read(cls, path: Path) -> "History":
        """Return the history that was written to a file."""
        document = json.loads(path.read_text())
        references = {variant: Result(**_tuples(fields)) for variant, fields in document["references"].items()}
        records = [KINDS[name](**_tuples(fields)) for name, fields in document["records"]]
        return cls(references, set(document["webhooks"]), document["orphans"], records)


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields with tuples for the lists of JSON."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


KINDS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (Answer, Accepted, Seen, Cancelled, Streamed, Result, Uploaded, Notified, Used, Ended, Fault)
}
"""The kinds of records by their names."""
Record = TypeVar("Record")


def disturbed(faults: Iterable[Fault], grace_s: float) -> list[tuple[float, float]]:
    """Return the disjoint intervals in which a fault lasted or had ended less than `grace_s` ago, in order of time."""
    merged: list[tuple[float, float]] = []
    for begun, ended in sorted((fault.begun, fault.ended + grace_s) for fault in faults):
        if merged and begun <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], ended))
        else:
            merged.append((begun, ended))
    return merged


def calm_seconds(begin: float, end: float, intervals: Iterable[tuple[float, float]]) -> float:
    """Return the seconds between `begin` and `end` outside of disjoint intervals."""
    overlap = sum(max(0.0, min(end, stop) - max(begin, start)) for start, stop in intervals)
    return max(end - begin - overlap, 0.0)
