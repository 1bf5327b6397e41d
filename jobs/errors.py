"""What can go wrong around a job, beside what `quant.errors` knows.

QuantdError
├── ModelError
│   └── EmptyModel        model.empty
├── DatasetError
│   └── EmptyDataset      dataset.empty
└── ServiceError
    ├── Unauthenticated       auth.required
    ├── Forbidden             auth.scope
    ├── Misdirected           auth.misdirected
    ├── RateLimited           rate.limited
    ├── TooManyJobs           quota.open_jobs
    ├── TooManyUploads        quota.open_uploads
    ├── StorageFull           quota.stored_bytes
    ├── NotFound              not_found
    ├── MethodNotAllowed      method_not_allowed
    ├── Conflict              conflict
    ├── TooLarge              request.too_large
    ├── DigestMismatch        request.digest_mismatch
    ├── BadRequest            request.invalid
    ├── UnsupportedVersion    request.unsupported_version
    ├── IdempotencyMismatch   request.idempotency_mismatch
    ├── RangeNotSatisfiable   request.range_not_satisfiable
    ├── Unavailable           service.unavailable
    └── WorkerFailure
        ├── WorkerCrashed         worker.crashed
        ├── WorkerOutOfMemory     worker.out_of_memory
        ├── WorkerOutOfDisk       worker.out_of_disk
        └── WorkerTimeout         worker.timeout
"""

from quant.errors import DatasetError, ModelError, QuantdError


class EmptyModel(ModelError):
    code = "model.empty"
    title = "The file has no bytes"


class EmptyDataset(DatasetError):
    code = "dataset.empty"
    title = "The file has no bytes"


class ServiceError(QuantdError):
    pass


class Unauthenticated(ServiceError):
    code = "auth.required"
    title = "The request needs a valid API key"


class Forbidden(ServiceError):
    code = "auth.scope"
    title = "The API key may not do this"


class Misdirected(ServiceError):
    code = "auth.misdirected"
    title = "The request came by another name or from another page"


class RateLimited(ServiceError):
    code = "rate.limited"
    title = "There were too many requests"


class TooManyJobs(ServiceError):
    code = "quota.open_jobs"
    title = "Too many jobs are open"


class TooManyUploads(ServiceError):
    code = "quota.open_uploads"
    title = "Too many uploads are in progress"


class StorageFull(ServiceError):
    code = "quota.stored_bytes"
    title = "The API key's storage is full"


class NotFound(ServiceError):
    code = "not_found"
    title = "There is no such thing"


class MethodNotAllowed(ServiceError):
    code = "method_not_allowed"
    title = "The path has no such method"


class Conflict(ServiceError):
    code = "conflict"
    title = "The state does not allow it"


class TooLarge(ServiceError):
    code = "request.too_large"
    title = "The body is too large"


class DigestMismatch(ServiceError):
    code = "request.digest_mismatch"
    title = "The bytes are not those that the digest names"


class BadRequest(ServiceError):
    code = "request.invalid"
    title = "The request is not valid"


class UnsupportedVersion(ServiceError):
    code = "request.unsupported_version"
    title = "The protocol's version is another"


class IdempotencyMismatch(ServiceError):
    code = "request.idempotency_mismatch"
    title = "The idempotency key was used for another request"


class RangeNotSatisfiable(ServiceError):
    code = "request.range_not_satisfiable"
    title = "The range is not in the file"


class Unavailable(ServiceError):
    code = "service.unavailable"
    title = "A part of the service is away"


class WorkerFailure(ServiceError):
    pass


class WorkerCrashed(WorkerFailure):
    code = "worker.crashed"
    title = "The job's process ended unexpectedly"


class WorkerOutOfMemory(WorkerFailure):
    code = "worker.out_of_memory"
    title = "The job needed more memory than it may have"


class WorkerOutOfDisk(WorkerFailure):
    code = "worker.out_of_disk"
    title = "The job needed more space on disk than it may have"


class WorkerTimeout(WorkerFailure):
    code = "worker.timeout"
    title = "The job took longer than it may"
