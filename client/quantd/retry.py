"""Requests that are sent again when the service, or the way to it, fails for a while."""

from collections.abc import Callable, Container, Iterable
from typing import Any

import httpx

from quantd.errors import Unreachable
from quantd.steps import Flow, Result, Send, Sleep

PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""The pause after each failure in a row, unless the service asks for a longer one. After the last one the operation
fails."""


def request(
    method: str,
    path: str,
    *,
    accept: Container[int] = (),
    content: bytes | Callable[[], Iterable[bytes]] | None = None,
    is_idempotent: bool = False,
    **options: Any,
) -> Flow[httpx.Response]:
    """Send a request and return its response.

    A GET and a request with an Idempotency-Key are repeated after a cut connection, a 429 and a 5xx.

    Args:
        method: the method.
        path: the path.
        accept: statuses that are results although they are no success.
        content: the body, or a function that returns its chunks.
        is_idempotent: True to repeat another request, too: the service does not do it twice.
        options: headers, query parameters, a JSON body and time limits, as httpx names them.

    Raises:
        Unreachable: the failures went on for half a minute, or the request may not be repeated.
        ClientError: the service refused the request.
    """
    step = Send(method, path, accept, content, options)

    def attempt() -> Flow[httpx.Response]:
        response: httpx.Response = yield step
        return response

    if is_idempotent or method == "GET" or "Idempotency-Key" in options.get("headers", {}):
        return (yield from retry(attempt))
    return (yield from attempt())


def retry(attempt: Callable[[], Flow[Result]], transferred: Callable[[], int] = lambda: 0) -> Flow[Result]:
    """Return the result of `attempt`, repeated after each failure that may pass; progress resets the pauses.

    Args:
        attempt: begins or continues the operation.
        transferred: returns the number of bytes transferred so far.

    Raises:
        Unreachable: the failures went on for half a minute without progress.
    """
    failures = 0
    while True:
        before = transferred()
        try:
            return (yield from attempt())
        except Unreachable as error:
            failures = 1 if transferred() > before else failures + 1
            if not error.may_pass or failures > len(PAUSES_S):
                raise
            pause = max(PAUSES_S[failures - 1], error.retry_after_s)
        yield Sleep(pause)
