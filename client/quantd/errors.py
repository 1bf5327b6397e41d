"""Errors of the client, each with the exit code of the `quantd` command.

ClientError            exit 3: bad usage or spec, or a request that the service refused
├── JobFailed              1: the job failed or was cancelled
│   └── JobTimedOut           1: the job did not end within the time limit of the command
└── Unreachable            4: the service could not be reached

Stop                   not an Exception, so that no handler of errors takes it for one
├── Interrupted            128 and the number of the signal: SIGINT 130, SIGTERM 143
└── TimeUp                 becomes JobTimedOut where the job is known
"""

from collections.abc import Mapping
from typing import Any, ClassVar

GATE_FAILED = 2
"""The exit code of a job that succeeded although a gate failed or a figure regressed."""

Problem = Mapping[str, Any]
"""A problem document (RFC 9457), or some of its fields."""


class ClientError(Exception):
    """Bad usage, or a request that the service refused.

    Attributes:
        detail: what was wrong and what would be accepted.
        problem: the service's own problem document, if there is one.
    """

    exit_code: ClassVar[int] = 3
    code: ClassVar[str] = "usage.invalid"

    def __init__(self, detail: str, problem: Problem | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.problem = problem or {}

    def document(self) -> dict[str, Any]:
        """Return the problem document that `--json` prints: code, detail, exit code, and the service's own fields."""
        return {"code": self.code, "detail": self.detail, **self.problem, "exit_code": self.exit_code}


class JobFailed(ClientError):
    """A job that failed or was cancelled."""

    exit_code = 1
    code = "job.failed"


class JobTimedOut(JobFailed):
    """A job that did not end within the time limit of the command, and was cancelled."""

    code = "job.timed_out"


class Unreachable(ClientError):
    """A service that does not answer, is not ready or takes no more requests for a while.

    Attributes:
        retry_after_s: the seconds after which the service asks for the next request; 0 if it does not say.
        may_pass: False if it is of no use to send the request again.
    """

    exit_code = 4
    code = "service.unreachable"

    def __init__(
        self, detail: str, problem: Problem | None = None, *, retry_after_s: float = 0.0, may_pass: bool = True
    ) -> None:
        super().__init__(detail, problem)
        self.retry_after_s = retry_after_s
        self.may_pass = may_pass


def job_failure(problem: Problem, job_id: str | None = None) -> ClientError:
    """Return the error for a job that failed with this problem; a spec at fault is bad usage, not a failure.

    Args:
        problem: the problem document; code and detail are enough.
        job_id: the id of the job; None for a job on this machine.
    """
    kind = ClientError if problem["code"].startswith("spec.") else JobFailed
    subject = f"job {job_id} failed: " if job_id else ""
    return kind(f"{subject}{problem['code']}: {problem['detail']}", {**problem, "job": job_id})


class Stop(BaseException):
    """The end of the command before its work is complete."""


class Interrupted(Stop):
    """SIGINT (Ctrl-C) or SIGTERM.

    Attributes:
        signal_number: the number of the signal.
        detail: a sentence on the job; empty if there is none.
        job_id: the job that was interrupted.
    """

    code = "job.interrupted"

    def __init__(self, signal_number: int, detail: str = "", job_id: str | None = None) -> None:
        super().__init__(signal_number, detail)
        self.signal_number = signal_number
        self.detail = detail
        self.job_id = job_id

    @property
    def exit_code(self) -> int:
        """The exit code that shells expect of a process that a signal ended."""
        return 128 + self.signal_number

    def __str__(self) -> str:
        return self.detail or "interrupted"

    def document(self) -> dict[str, Any]:
        """Return the problem document that `--json` prints."""
        return {"code": self.code, "detail": str(self), "job": self.job_id, "exit_code": self.exit_code}


class TimeUp(Stop):
    """The end of a time limit."""
