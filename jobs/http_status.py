"""The table from error codes to HTTP statuses, and the RFC 9457 problems built from it."""

from collections.abc import Iterable, Mapping

from jobs.job import FieldProblem, Problem
from quant.errors import QuantdError

STATUS: Mapping[str, int] = {
    "request.invalid": 400,
    "request.digest_mismatch": 400,
    "auth.required": 401,
    "auth.scope": 403,
    "auth.misdirected": 421,
    "auth.csrf": 403,
    "rate.limited": 429,
    "quota.open_jobs": 429,
    "quota.open_uploads": 429,
    "quota.shares": 409,
    "quota.stored_bytes": 413,
    "not_found": 404,
    "method_not_allowed": 405,
    "conflict": 409,
    "request.unsupported_version": 412,
    "request.too_large": 413,
    "model.unsupported_format": 415,
    "request.unsupported_media_type": 415,
    "request.range_not_satisfiable": 416,
    "request.idempotency_mismatch": 422,
    "service.unavailable": 503,
    "internal": 500,
    "worker.crashed": 500,
    "worker.out_of_memory": 500,
    "worker.out_of_disk": 500,
    "worker.timeout": 500,
    "export.invalid": 500,
}
"""Any other code of `model.*`, `dataset.*`, `spec.*` and `remote.*` is 422: understood, but it cannot be processed."""


def status_of(code: str) -> int:
    """Return the HTTP status of an error code."""
    if code in STATUS:
        return STATUS[code]
    return 422 if code.split(".")[0] in ("model", "dataset", "spec", "remote") else 500


def make_problem(code: str, title: str, detail: str, errors: Iterable[FieldProblem] = ()) -> Problem:
    """Return the problem details of an error code."""
    return Problem(
        type=f"urn:quantd:problem:{code}",
        title=title,
        status=status_of(code),
        detail=detail,
        code=code,
        errors=tuple(errors),
    )


def problem_of(error: QuantdError) -> Problem:
    """Return the problem details of an error."""
    faults = (FieldProblem(pointer=fault.pointer, detail=fault.detail) for fault in error.errors)
    return make_problem(error.code, error.title, error.detail, faults)
