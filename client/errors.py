"""Errors of the client, each with the exit code of the `quantd` command.

ClientError            exit 3: bad usage or spec
├── JobFailed              1: the job failed or was cancelled
└── Unreachable            4: the service could not be reached
"""

from typing import ClassVar


class ClientError(Exception):
    """A request that was refused; the message is the service's own detail."""

    exit_code: ClassVar[int] = 3


class JobFailed(ClientError):
    """A job that failed or was cancelled."""

    exit_code = 1


class Unreachable(ClientError):
    """A service that does not answer or is not ready."""

    exit_code = 4


GATE_FAILED = 2
"""The exit code of a job that succeeded with the verdict `fail`."""
