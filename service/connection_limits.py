"""Limits on connections: how many there are, how long a request's head is, and how slowly a caller may send.

uvicorn has no such limits with its faster parser. They hold in the process, whatever stands before it.
"""

import asyncio
import os
import resource
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

OTHER_DESCRIPTORS = 256
"""Descriptors that stay free for stores, logs and files while all connections are open."""


@dataclass(frozen=True)
class ConnectionLimits:
    """The limits of one gateway.

    Attributes:
        connections: the most open connections.
        of_an_address: the most of one address; addresses of `trusted` proxies have no limit of their own.
        head_bytes: the most bytes of a request's line and headers.
        head_s: seconds from a connection or the first byte of a request to the end of its head.
        idle_s: seconds between two pieces of a body, while the gateway reads.
    """

    connections: int = 2048
    of_an_address: int = 512
    head_bytes: int = 1 << 16
    head_s: float = 20.0
    idle_s: float = 60.0
    trusted: frozenset[str] = frozenset()


def connection_limits() -> ConnectionLimits:
    """Return the limits for this process, after raising its limit of open files as far as it may."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = min(most, 1 << 16) if most != resource.RLIM_INFINITY else 1 << 16
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
    connections = min(ConnectionLimits.connections, max(files - OTHER_DESCRIPTORS, 16))
    trusted = frozenset(filter(None, os.environ.get("FORWARDED_ALLOW_IPS", "").replace(" ", "").split(",")))
    return ConnectionLimits(connections, min(ConnectionLimits.of_an_address, connections), trusted=trusted)


class LimitedProtocol(HttpToolsProtocol):
    """A connection within limits, which are those of all connections of the process."""

    limits: ClassVar[ConnectionLimits] = ConnectionLimits()
    open_by_address: ClassVar[Counter[str]] = Counter()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection, or refuse it if there are too many."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self.open_by_address[self._address] += 1
        self._in_head, self._head_bytes, self._refused = True, 0, False
        self._timer: asyncio.TimerHandle | None = None
        if self._too_many():
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections; close some, or try again later")
        else:
            self._wait(self.limits.head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._wait(None)
        self.open_by_address[self._address] -= 1
        if self.open_by_address[self._address] <= 0:
            del self.open_by_address[self._address]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read a piece, unless the request was refused."""
        if self._refused:
            return
        self._head_bytes += len(data) if self._in_head else 0
        super().data_received(data)
        if self._in_head and not self._refused and self._head_bytes > self.limits.head_bytes:
            self._refuse_head()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._in_head = True
        self._wait(self.limits.head_s)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Hand the request to the application if its head is short enough."""
        self._in_head, self._head_bytes = False, 0
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > self.limits.head_bytes:
            self._refuse_head()
            return
        self._wait(self.limits.idle_s)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Read a piece of the body."""
        if not self._refused:
            self._wait(self.limits.idle_s)
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request; uvicorn closes connections that idle between two requests."""
        self._wait(None)
        if not self._refused:
            super().on_message_complete()

    def _too_many(self) -> bool:
        of_address = 0 if self._address in self.limits.trusted else self.open_by_address[self._address]
        return len(self.connections) > self.limits.connections or of_address > self.limits.of_an_address

    def _wait(self, seconds: float | None) -> None:
        """Wait so long for the next piece; None: wait for nothing."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._too_slow)

    def _too_slow(self) -> None:
        if self.flow.read_paused:  # the application is slow, not the caller
            self._wait(self.limits.idle_s)
        elif self._in_head:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "the head of a request took too long")
        else:
            self.transport.close()

    def _refuse_head(self) -> None:
        accepted = f"accepted: at most {self.limits.head_bytes} bytes"
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the request's line and headers are long; {accepted}")

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        self._refused = True
        self._wait(None)
        head: dict[str, Any] = {"content-type": "text/plain", "content-length": len(text), "connection": "close"}
        lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {value}" for name, value in head.items())]
        self.transport.write("\r\n".join([*lines, "", text]).encode())
        self.transport.close()
