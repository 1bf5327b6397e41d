"""The HTTP connections to a service, blocking and asynchronous; refusals and failures become exceptions."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, NoReturn, TypeVar

import httpx

from quantd.errors import ClientError, Unreachable
from quantd.steps import Call, Flow, Receive, Result, Send, Sleep, Step

WAIT_S = 30
"""The seconds for which one request may wait for a job's end."""
PARTIAL_CONTENT = 206
RATE_LIMITED = 429
SERVER_ERROR = 500
MOST_PAUSE_S = 60.0
"""The longest pause that a service may ask for by `Retry-After`."""

_NOT_CONNECTED = (
    httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL,
)  # fmt: skip
_FAILURES = (httpx.RequestError, httpx.InvalidURL)
Http = TypeVar("Http", httpx.Client, httpx.AsyncClient)


class _Service:
    """The service at the other end: its address, and the meaning of its failures.

    Raises:
        Unreachable: the key is malformed.
    """

    def __init__(self, url: str, key: str | None) -> None:
        if key and not (key.isascii() and key.isprintable()):
            raise Unreachable("the API key has characters that no key has; set QUANTD_API_KEY to qd_...")
        self.url = url
        self._settings: dict[str, Any] = {
            "base_url": url,
            "headers": {"Authorization": f"Bearer {key}"} if key else {},
            "timeout": httpx.Timeout(30, read=WAIT_S + 30),
        }
        self._has_answered = False

    def http(self, kind: Callable[..., Http]) -> Http:
        """Return an HTTP client of this kind for the service.

        Raises:
            Unreachable: the address is malformed.
        """
        try:
            return kind(**self._settings)
        except (httpx.InvalidURL, ValueError) as error:
            raise Unreachable(f"{self.url!r} is not an address ({error}); set QUANTD_URL to http://host:port") from None

    def unreachable(self, error: Exception) -> Unreachable:
        """Return the error for a request without a whole response.

        It may pass, unless there was no connection and no answer before: then the address is likely to be wrong.
        """
        detail = f"no service answers at {self.url} ({error}); start one with `quantd up` or set QUANTD_URL"
        return Unreachable(detail, may_pass=self._has_answered or not isinstance(error, _NOT_CONNECTED))

    def check(self, response: httpx.Response) -> httpx.Response:
        """Return a response that is a success.

        Raises:
            Unreachable: the service, or a proxy before it, cannot answer now, or takes no more requests for a while.
            ClientError: the service refused the request.
        """
        self._has_answered = True
        if not response.is_success:
            self._refused(response)
        return response

    def _refused(self, response: httpx.Response) -> NoReturn:
        try:
            problem = response.json()
            detail = str(problem["detail"])
        except (ValueError, KeyError, TypeError, RecursionError):
            problem = {}
            detail = f"{response.request.method} {response.request.url.path} returned {response.status_code}"
            if response.has_redirect_location:
                detail += f" to {response.headers['Location']}; set QUANTD_URL to the address of the service itself"
        is_limited = response.status_code == RATE_LIMITED and not str(problem.get("code")).startswith("quota.")
        if is_limited or response.status_code >= SERVER_ERROR:
            raise Unreachable(detail, problem, retry_after_s=_retry_after(response))
        raise ClientError(detail, problem)


def _retry_after(response: httpx.Response) -> float:
    """Return the seconds of the Retry-After header, at most a minute; 0 without one, and for a date."""
    text = response.headers.get("Retry-After", "")
    return min(float(text), MOST_PAUSE_S) if text.isdecimal() else 0.0


class Connection:
    """A connection that blocks the calling thread."""

    def __init__(self, url: str, key: str | None = None) -> None:
        self._service = _Service(url, key)
        self._http = self._service.http(httpx.Client)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def run(self, flow: Flow[Result]) -> Result:
        """Run an operation and return its result.

        Raises:
            ClientError: the service refused a request, or cannot be reached.
        """
        proceed: Callable[[], Step] = partial(next, flow)
        try:
            while True:
                step = proceed()
                try:
                    result = self._perform(step)
                except (ClientError, OSError) as error:
                    proceed = partial(flow.throw, error)
                else:
                    proceed = partial(flow.send, result)
        except StopIteration as end:
            value: Result = end.value
            return value
        finally:
            flow.close()

    def lines(self, path: str, headers: Mapping[str, str]) -> Iterator[str]:
        """GET a path and yield the lines of the response as they arrive.

        Raises:
            ClientError: the service refused the request, or the connection broke.
        """
        with self._stream(path, headers) as response:
            yield from response.iter_lines()

    def _perform(self, step: Step) -> Any:
        match step:
            case Send():
                return self._send(step)
            case Receive():
                with self._stream(step.path, step.headers) as response:
                    _begin(step, response)
                    for chunk in response.iter_bytes():  # as they arrive: an interruption loses no whole chunk
                        step.file.write(chunk)
            case Sleep():
                time.sleep(step.seconds)
            case Call():
                return step.function()

    def _send(self, step: Send) -> httpx.Response:
        content = step.content() if callable(step.content) else step.content
        try:
            response = self._http.request(step.method, step.path, content=content, **step.options)
        except _FAILURES as error:
            raise self._service.unreachable(error) from None
        return response if response.status_code in step.accept else self._service.check(response)

    @contextmanager
    def _stream(self, path: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        try:
            with self._http.stream("GET", path, headers=headers, follow_redirects=True) as response:
                if not response.is_success:
                    response.read()
                yield self._service.check(response)
        except _FAILURES as error:
            raise self._service.unreachable(error) from None


class AsyncConnection:
    """A connection in an event loop; calls that take long run in a thread."""

    def __init__(self, url: str, key: str | None = None) -> None:
        self._service = _Service(url, key)
        self._http = self._service.http(httpx.AsyncClient)

    async def close(self) -> None:
        """Close the connection."""
        await self._http.aclose()

    async def run(self, flow: Flow[Result]) -> Result:
        """Run an operation and return its result, with the errors of `Connection.run`."""
        proceed: Callable[[], Step] = partial(next, flow)
        try:
            while True:
                step = proceed()
                try:
                    result = await self._perform(step)
                except (ClientError, OSError) as error:
                    proceed = partial(flow.throw, error)
                else:
                    proceed = partial(flow.send, result)
        except StopIteration as end:
            value: Result = end.value
            return value
        finally:
            flow.close()

    async def lines(self, path: str, headers: Mapping[str, str]) -> AsyncGenerator[str]:
        """GET a path and yield the lines of the response as they arrive, with the errors of `Connection.lines`."""
        async with self._stream(path, headers) as response:
            async for line in response.aiter_lines():
                yield line

    async def _perform(self, step: Step) -> Any:
        match step:
            case Send():
                return await self._send(step)
            case Receive():
                async with self._stream(step.path, step.headers) as response:
                    _begin(step, response)
                    async for chunk in response.aiter_bytes():
                        step.file.write(chunk)
            case Sleep():
                await asyncio.sleep(step.seconds)
            case Call():
                return await asyncio.to_thread(step.function)

    async def _send(self, step: Send) -> httpx.Response:
        content = _in_thread(step.content()) if callable(step.content) else step.content
        try:
            response = await self._http.request(step.method, step.path, content=content, **step.options)
        except _FAILURES as error:
            raise self._service.unreachable(error) from None
        return response if response.status_code in step.accept else self._service.check(response)

    @asynccontextmanager
    async def _stream(self, path: str, headers: Mapping[str, str]) -> AsyncIterator[httpx.Response]:
        try:
            async with self._http.stream("GET", path, headers=headers, follow_redirects=True) as response:
                if not response.is_success:
                    await response.aread()
                yield self._service.check(response)
        except _FAILURES as error:
            raise self._service.unreachable(error) from None


def _begin(step: Receive, response: httpx.Response) -> None:
    """Start again at the beginning of the file if the response is not the rest of it."""
    if response.status_code != PARTIAL_CONTENT:
        step.file.seek(0)
        step.file.truncate()


async def _in_thread(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Yield chunks that are read from a file in a thread."""
    iterator = iter(chunks)
    while (chunk := await asyncio.to_thread(next, iterator, None)) is not None:
        yield chunk
