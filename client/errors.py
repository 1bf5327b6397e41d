"""What a command ends with.

ClientError            exit 3: bad usage or spec
├── JobFailed              1: the job failed or was cancelled
└── Unreachable            4: the service could not be reached
"""

from typing import ClassVar


class ClientError(Exception):
    """The request was not accepted; the message is the service's own detail."""

    exit_code: ClassVar[int] = 3


class JobFailed(ClientError):
    exit_code = 1


class Unreachable(ClientError):
    exit_code = 4


GATE_FAILED = 2
"""The exit code of a job that succeeded and whose verdict is `fail`."""
