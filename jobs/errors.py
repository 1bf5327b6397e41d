"""The errors of the service; those of the quantizer are in `quant.errors`.

QuantdError
├── ModelError
│   └── EmptyModel        model.empty
├── DatasetError
│   └── EmptyDataset      dataset.empty
└── ServiceError
    ├── Unauthenticated       auth.required
    ├── Forbidden             auth.scope
    ├── Misdirected           auth.misdirected
    ├── InvalidCsrfToken      auth.csrf
    ├── RateLimited           rate.limited
    ├── TooManyJobs           quota.open_jobs
    ├── TooManyUploads        quota.open_uploads
    ├── TooManyShares         quota.shares
    ├── StorageFull           quota.stored_bytes
    ├── NotFound              not_found
    ├── MethodNotAllowed      method_not_allowed
    ├── Conflict              conflict
    ├── TooLarge              request.too_large
    ├── DigestMismatch        request.digest_mismatch
    ├── BadRequest            request.invalid
    ├── UnsupportedMediaType  request.unsupported_media_type
    ├── UnsupportedVersion    request.unsupported_version
    ├── IdempotencyMismatch   request.idempotency_mismatch
    ├── RangeNotSatisfiable   request.range_not_satisfiable
    ├── Unavailable           service.unavailable
    ├── RemoteNotAllowed      remote.not_allowed
    ├── RemoteFailed          remote.failed
    ├── CredentialsRefused    remote.credentials
    └── WorkerFailure
        ├── WorkerCrashed         worker.crashed
        ├── WorkerOutOfMemory     worker.out_of_memory
        ├── WorkerOutOfDisk       worker.out_of_disk
        └── WorkerTimeout         worker.timeout
"""

from collections.abc import Iterator
from typing import Annotated

from pydantic import WithJsonSchema

from quant.errors import DatasetError, ModelError, QuantdError


class EmptyModel(ModelError):
    """An uploaded model without a byte."""

    code = "model.empty"
    title = "The file is empty"


class EmptyDataset(DatasetError):
    """An uploaded dataset without a byte."""

    code = "dataset.empty"
    title = "The file is empty"


class ServiceError(QuantdError):
    """The base of the service's errors."""


class Unauthenticated(ServiceError):
    """A request without a valid API key."""

    code = "auth.required"
    title = "The request needs a valid API key"


class Forbidden(ServiceError):
    """A request outside the scopes of its API key."""

    code = "auth.scope"
    title = "The API key lacks the scope for this request"


class Misdirected(ServiceError):
    """A request for a host name that is not ours, or from another origin (DNS rebinding, cross-site requests)."""

    code = "auth.misdirected"
    title = "The request is for another host or comes from another origin"


class InvalidCsrfToken(ServiceError):
    """A request with a session's cookie and without the session's CSRF token."""

    code = "auth.csrf"
    title = "The request lacks the session's CSRF token"


class RateLimited(ServiceError):
    """Too many requests of an API key."""

    code = "rate.limited"
    title = "Too many requests"


class TooManyJobs(ServiceError):
    """Too many open jobs of an API key."""

    code = "quota.open_jobs"
    title = "Too many jobs are open"


class TooManyUploads(ServiceError):
    """Too many unfinished uploads of a tenant."""

    code = "quota.open_uploads"
    title = "Too many uploads are in progress"


class TooManyShares(ServiceError):
    """Too many valid share links to one report."""

    code = "quota.shares"
    title = "The report has too many share links"


class StorageFull(ServiceError):
    """An upload beyond the storage quota of its API key."""

    code = "quota.stored_bytes"
    title = "The API key's storage quota is used up"


class NotFound(ServiceError):
    """A record or blob that does not exist, or belongs to another tenant."""

    code = "not_found"
    title = "Not found"


class MethodNotAllowed(ServiceError):
    """A method that the path does not have."""

    code = "method_not_allowed"
    title = "Method not allowed"


class Conflict(ServiceError):
    """A request that the current state does not permit."""

    code = "conflict"
    title = "Conflict with the current state"


class TooLarge(ServiceError):
    """A body above the size limit."""

    code = "request.too_large"
    title = "The body is too large"


class DigestMismatch(ServiceError):
    """Bytes whose SHA-256 differs from the one announced or stored."""

    code = "request.digest_mismatch"
    title = "The bytes do not match the digest"


class BadRequest(ServiceError):
    """A request that cannot be understood."""

    code = "request.invalid"
    title = "The request is not valid"


class UnsupportedMediaType(ServiceError):
    """A body of a content type that the endpoint does not read."""

    code = "request.unsupported_media_type"
    title = "The body has an unsupported content type"


class UnsupportedVersion(ServiceError):
    """A version of the tus protocol that is not spoken here."""

    code = "request.unsupported_version"
    title = "Unsupported protocol version"


class IdempotencyMismatch(ServiceError):
    """An idempotency key that was used for another request."""

    code = "request.idempotency_mismatch"
    title = "The idempotency key was used for another request"


class RangeNotSatisfiable(ServiceError):
    """A byte range outside the file."""

    code = "request.range_not_satisfiable"
    title = "The range is outside the file"


class Unavailable(ServiceError):
    """A record store or object store that cannot be reached."""

    code = "service.unavailable"
    title = "Service temporarily unavailable"


class RemoteNotAllowed(ServiceError):
    """A source or a destination that the operator does not allow."""

    code = "remote.not_allowed"
    title = "The source or destination is not allowed"


class RemoteFailed(ServiceError):
    """A source that could not be fetched, or a destination that took no artifacts."""

    code = "remote.failed"
    title = "The source or destination failed"


class CredentialsRefused(ServiceError):
    """Named credentials that do not exist, or that are not for the source or destination."""

    code = "remote.credentials"
    title = "The credentials cannot be used"


class WorkerFailure(ServiceError):
    """The base of failures of a job's process."""


class WorkerCrashed(WorkerFailure):
    """A process that ended without a result, or left invalid artifacts."""

    code = "worker.crashed"
    title = "The job's process ended unexpectedly"


class WorkerOutOfMemory(WorkerFailure):
    """A process that ran out of memory."""

    code = "worker.out_of_memory"
    title = "The job exceeded its memory limit"


class WorkerOutOfDisk(WorkerFailure):
    """A process whose files ran out of space."""

    code = "worker.out_of_disk"
    title = "The job exceeded its disk limit"


class WorkerTimeout(WorkerFailure):
    """A process that ran too long."""

    code = "worker.timeout"
    title = "The job exceeded its time limit"


def error_codes(family: type[QuantdError] = QuantdError) -> Iterator[str]:
    """Yield the codes of the errors of a family, which is a class with its subclasses; a code may occur twice."""
    yield family.code
    for error in family.__subclasses__():
        yield from error_codes(error)


ErrorCode = Annotated[str, WithJsonSchema({"type": "string", "enum": sorted(set(error_codes()))})]
"""The code of an error. A text that is no code of this version is accepted: another version may have written it."""
