"""HTTP requests to hosts outside the service, each sent to an address that was checked.

A redirect is followed only to a host that the target allows, and never from https to http. No proxy is used, and no
response is decompressed.
"""

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NoReturn

import httpx

from jobs.errors import RemoteFailed, RemoteNotAllowed, TooLarge
from jobs.remote.addresses import AddressRefused, lookup_name
from jobs.remote.requests import checked_request, outside_client

MOST_REDIRECTS = 5
SILENT_S = 30.0
"""A host that sends or takes nothing for this long fails."""
MAX_DOCUMENT = 4 << 20
"""The largest JSON document that is read, in bytes."""
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class MayPass(RemoteFailed):
    """A failure that may be over at the next attempt."""


@dataclass(frozen=True)
class Target:
    """A URL to call, with its secrets.

    Attributes:
        url: the URL.
        headers: headers that only the host of the URL gets.
        hosts: host names and patterns that the URL and its redirects may name, as `check_url` takes them.
    """

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    hosts: tuple[str, ...] = ()


async def download(target: Target, limit: int) -> AsyncIterator[bytes]:
    """Yield the bytes at a URL.

    Raises:
        RemoteFailed: the host does not answer, or not with the file.
        RemoteNotAllowed: the URL or a redirect must not be called.
        TooLarge: the host announces more than `limit` bytes.
    """
    async with _response(target) as response:
        announced = response.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) > limit:
            raise TooLarge(f"the source has {announced} bytes; accepted: up to {limit}")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise RemoteFailed(f"{_host(response)} sent a compressed response; accepted: the bytes of the file itself")
        try:
            async for chunk in response.aiter_raw(1 << 20):
                yield chunk
        except httpx.HTTPError as error:
            _failed(response.url, error)


async def read_json(target: Target, params: Mapping[str, str]) -> object:
    """Return the JSON document at a URL.

    Raises:
        RemoteFailed: the host does not answer, or not with a JSON document.
        RemoteNotAllowed: the URL or a redirect must not be called.
    """
    url = str(httpx.URL(target.url, params=dict(params)))
    async with _response(Target(url, target.headers, target.hosts)) as response:
        data = bytearray()
        try:
            async for chunk in response.aiter_raw():
                data += chunk
                if len(data) > MAX_DOCUMENT:
                    raise RemoteFailed(f"{_host(response)} sent more than {MAX_DOCUMENT} bytes; accepted: less")
            return httpx.Response(200, content=bytes(data)).json()
        except httpx.HTTPError as error:
            _failed(response.url, error)
        except (ValueError, RecursionError):
            raise RemoteFailed(f"{_host(response)} did not answer with JSON") from None


async def upload(target: Target, chunks: AsyncIterable[bytes], size: int) -> None:
    """PUT `size` bytes to a URL; redirects are not followed.

    Raises:
        RemoteFailed: the host does not answer, or not with 2xx.
        RemoteNotAllowed: the URL must not be called.
    """
    async with outside_client(SILENT_S) as client:
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        response = await _send(client, "PUT", httpx.URL(target.url), target, {**target.headers, **headers}, chunks)
        await response.aclose()
        if not response.is_success:
            _refused(response, "a 2xx status for a PUT")


@asynccontextmanager
async def _response(target: Target) -> AsyncIterator[httpx.Response]:
    """GET a URL, follow its redirects, and give the response with the file, which is not read yet."""
    url, headers = httpx.URL(target.url), dict(target.headers)
    async with outside_client(SILENT_S) as client:
        for _ in range(MOST_REDIRECTS + 1):
            response = await _send(client, "GET", url, target, headers)
            try:
                if not response.has_redirect_location:
                    if response.status_code != httpx.codes.OK:
                        _refused(response, "status 200")
                    yield response
                    return
                url, headers = _redirected(url, response, headers)
            finally:
                await response.aclose()
    raise RemoteFailed(f"{lookup_name(url)} redirects more than {MOST_REDIRECTS} times; accepted: fewer")


async def _send(
    client: httpx.AsyncClient,
    method: str,
    url: httpx.URL,
    target: Target,
    headers: Mapping[str, str],
    content: AsyncIterable[bytes] | None = None,
) -> httpx.Response:
    """Send a request to the checked address of the URL's host; the response's body is not read yet."""
    try:
        headers = {"Accept-Encoding": "identity", **headers}
        request = await checked_request(client, method, url, target.hosts, headers, content)
        response = await client.send(request, stream=True)
    except AddressRefused as error:
        raise RemoteNotAllowed(f"the URL {error}") from None
    except (httpx.HTTPError, OSError) as error:
        _failed(url, error)
    except (httpx.InvalidURL, ValueError):  # httpx reads `Location`, though it does not follow it
        raise RemoteFailed(f"{url.host} redirects to no URL") from None
    response.request.url = url  # a redirect is relative to the name, not to the address
    return response


def _redirected(url: httpx.URL, response: httpx.Response, headers: dict[str, str]) -> tuple[httpx.URL, dict[str, str]]:
    """Return the URL that a response redirects to, with the headers that its host may get."""
    try:
        following = url.join(response.headers["Location"])
    except (httpx.InvalidURL, ValueError):
        raise RemoteFailed(f"{url.host} redirects to no URL") from None
    if url.scheme == "https" and following.scheme != "https":
        raise RemoteNotAllowed(f"{url.host} redirects from https to {following.scheme}; accepted: https")
    same = (url.scheme, url.netloc) == (following.scheme, following.netloc)
    return following, headers if same else {}


def _refused(response: httpx.Response, accepted: str) -> NoReturn:
    kind = MayPass if response.status_code in _PASSING else RemoteFailed
    raise kind(f"{_host(response)} answered with status {response.status_code}; accepted: {accepted}")


def _failed(url: httpx.URL, error: Exception) -> NoReturn:
    """Raise the failure of a request; the text of the error may hold the URL with its secrets."""
    raise MayPass(f"{url.host} does not answer ({type(error).__name__}); try again later") from None


def _host(response: httpx.Response) -> str:
    return response.request.url.host
