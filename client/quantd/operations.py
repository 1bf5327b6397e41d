"""The operations of the HTTP API, each written once for the blocking and the asynchronous client."""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quantd import download as downloads
from quantd.answers import Document, document_of
from quantd.connection import WAIT_S
from quantd.errors import ClientError, JobFailed, job_failure
from quantd.retry import request
from quantd.steps import Flow, Sleep

FINAL = frozenset({"succeeded", "failed", "cancelled"})
"""The states that a job never leaves."""
JOB = ("id", "status")
"""Fields of every job and plan."""
BATCH = ("id", "status", "jobs")
"""Fields of every batch."""
WAIT = {"Prefer": f"wait={WAIT_S}"}
PAUSE_S = 0.5
"""The pause between two requests that wait: the service answers at once if it stops, or if too many wait already."""


def get(path: str, names: tuple[str, ...] = (), **options: Any) -> Flow[Document]:
    """Return the document at a path, which has fields of these names."""
    response = yield from request("GET", path, **options)
    return document_of(response, *names)


def job(job_id: str) -> Flow[Document]:
    """Return a job."""
    return (yield from get(f"/v1/jobs/{job_id}", JOB))


def content(path: str) -> Flow[bytes]:
    """Return the bytes at a path."""
    response = yield from request("GET", path, follow_redirects=True)
    return response.content


def submit(
    model: str,
    spec: Mapping[str, Any],
    *,
    calibration: str | None = None,
    evaluation: str | None = None,
    tags: Mapping[str, str] | None = None,
    priority: int = 0,
    webhook: str | None = None,
    baseline: str | None = None,
    destination: Mapping[str, Any] | str | None = None,
    idempotency_key: str | None = None,
) -> Flow[Document]:
    """Submit a job for uploaded files, named by their ids, and return the job."""
    body = {
        "model": model, "spec": dict(spec), "calibration": calibration, "evaluation": evaluation,
        "tags": dict(tags or {}), "priority": priority, "webhook": {"url": webhook} if webhook else None,
        "baseline": baseline,
        "destination": {"url": destination} if isinstance(destination, str) else destination and dict(destination),
    }  # fmt: skip
    return (yield from _post("/v1/jobs", body, {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}))


def submit_batch(body: Mapping[str, Any], idempotency_key: str | None = None) -> Flow[Document]:
    """Submit a batch, the body of `POST /v1/batches`, and return the batch."""
    return (yield from _post("/v1/batches", dict(body), {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}))


def batch(batch_id: str) -> Flow[Document]:
    """Return a batch."""
    return (yield from get(f"/v1/batches/{batch_id}", BATCH))


def wait_for_batch(batch_id: str) -> Flow[Document]:
    """Return a batch after its end."""
    return (yield from _wait(f"/v1/batches/{batch_id}"))


def cancel_batch(batch_id: str) -> Flow[Document]:
    """Cancel a batch and return it."""
    response = yield from request("POST", f"/v1/batches/{batch_id}/cancel", is_idempotent=True)
    return document_of(response, *BATCH)


def delete_batch(batch_id: str) -> Flow[None]:
    """Delete an ended batch and its jobs."""
    yield from request("DELETE", f"/v1/batches/{batch_id}")


def plan(model: str, spec: Mapping[str, Any]) -> Flow[Document]:
    """Return the plan of a job for an uploaded model, named by its id, when it is ready.

    Raises:
        JobFailed: the model cannot be planned.
    """
    body = {"model": model, "spec": dict(spec)}
    record = yield from _post("/v1/plans", body, {**WAIT, "Idempotency-Key": str(uuid.uuid4())})
    if record["status"] not in FINAL:
        record = yield from _wait(record["links"]["self"])
    require_success(record)
    result: Document = record["result"]
    return result


def wait(job_id: str) -> Flow[Document]:
    """Return a job after its end."""
    return (yield from _wait(f"/v1/jobs/{job_id}"))


def wait_for_copy(job_id: str) -> Flow[Document]:
    """Return an ended job after the first attempt to copy its artifacts to its destination, if it has one."""
    while (document := (yield from job(job_id)))["status"] == "succeeded" and _waits_for_copy(document):
        yield Sleep(PAUSE_S)
    return document


def cancel(job_id: str) -> Flow[Document]:
    """Cancel a job and return it."""
    response = yield from request("POST", f"/v1/jobs/{job_id}/cancel", is_idempotent=True)
    return document_of(response, *JOB)


def delete(job_id: str) -> Flow[None]:
    """Delete an ended job and its artifacts."""
    yield from request("DELETE", f"/v1/jobs/{job_id}")


def artifacts(job_id: str) -> Flow[list[Document]]:
    """Return name, size, SHA-256, media type and URL of each artifact of a job."""
    page = yield from get(f"/v1/jobs/{job_id}/artifacts", ("items",))
    items: list[Document] = page["items"]
    return items


def download(job_id: str, name: str, path: Path) -> Flow[None]:
    """Download one artifact to a file; the file is unchanged unless the download succeeds.

    Raises:
        ClientError: the job has no artifact with this name, or other bytes arrived than the job produced.
    """
    items = yield from artifacts(job_id)
    digests = {item["name"]: item["sha256"] for item in items}
    if name not in digests:
        raise ClientError(f"job {job_id} has no artifact {name}; it has {', '.join(digests)}")
    yield from downloads.download(f"/v1/jobs/{job_id}/artifacts/{name}", digests[name], path)


def jobs_page(limit: int, filters: Mapping[str, str | None], cursor: str | None) -> Flow[Document]:
    """Return one page of the jobs, newest first."""
    query = {key: value for key, value in {**filters, "cursor": cursor}.items() if value is not None}
    return (yield from get("/v1/jobs", ("items", "next_cursor"), params={**query, "limit": limit}))


def require_success(job: Document) -> None:
    """Raise unless a job or a plan has succeeded.

    Raises:
        JobFailed: it failed or was cancelled.
        ClientError: it failed because of its spec.
    """
    if job["status"] == "succeeded":
        return
    if job["error"]:
        raise job_failure(job["error"], job["id"])
    raise JobFailed(f"job {job['id']} was cancelled", {"code": "job.cancelled", "job": job["id"]})


def _wait(path: str) -> Flow[Document]:
    """Return a job or a plan after its end, which each request waits for."""
    while (record := (yield from get(path, JOB, headers=WAIT)))["status"] not in FINAL:
        yield Sleep(PAUSE_S)
    return record


def _waits_for_copy(document: Document) -> bool:
    destination = document.get("destination")
    return destination is not None and destination["status"] == "waiting"


def _post(path: str, body: Document, headers: Mapping[str, str]) -> Flow[Document]:
    response = yield from request("POST", path, json=body, headers=headers)
    return document_of(response, *JOB)
