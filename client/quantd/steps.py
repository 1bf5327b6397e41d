"""The steps of an operation, apart from the way in which a connection waits for them.

An operation is a generator of steps (`Flow`). `Connection` runs it in the calling thread and `AsyncConnection` in an
event loop, so each operation is written once.
"""

from collections.abc import Callable, Container, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeVar


@dataclass(frozen=True)
class Send:
    """A request; the result is the response with its body.

    Attributes:
        method: the method.
        path: the path, or the whole URL.
        accept: statuses that are results although they are no success.
        content: the body, or a function that returns its chunks.
        options: headers, query parameters, a JSON body and time limits, as httpx names them.
    """

    method: str
    path: str
    accept: Container[int] = ()
    content: bytes | Callable[[], Iterable[bytes]] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Receive:
    """A GET of the bytes that a file lacks, which are appended to it; redirects are followed."""

    path: str
    file: BinaryIO

    @property
    def headers(self) -> dict[str, str]:
        """The headers that ask for the rest."""
        position = self.file.tell()
        return {"Range": f"bytes={position}-"} if position else {}


@dataclass(frozen=True)
class Sleep:
    """A pause in seconds."""

    seconds: float


@dataclass(frozen=True)
class Call:
    """A call that may take long, such as the digest of a large file; its result is that of the step."""

    function: Callable[[], Any]


Step = Send | Receive | Sleep | Call
Result = TypeVar("Result")
Flow = Generator[Step, Any, Result]
"""An operation: it yields steps, gets their results or errors, and returns its own result."""
