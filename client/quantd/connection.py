"""The HTTP connection to a service; refusals and failures become exceptions."""

from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from quantd.errors import ClientError, Unreachable

WAIT_S = 30
"""The seconds for which one request may wait for a job's end."""
Document = dict[str, Any]


class Connection:
    """Requests to one service, with one API key.

    Raises:
        Unreachable: the address or the key is malformed, nothing answers, or the service is not ready.
        ClientError: the service refused the request.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        if key and not (key.isascii() and key.isprintable()):
            raise Unreachable("the API key has characters that no key has; set QUANTD_API_KEY to qd_...")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._url = url
        try:
            self._http = httpx.Client(base_url=url, headers=headers, timeout=httpx.Timeout(30, read=WAIT_S + 30))
        except (httpx.InvalidURL, ValueError) as error:
            raise Unreachable(f"{url!r} is not an address ({error}); set QUANTD_URL to http://host:port") from None

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def json(self, method: str, path: str, **options: Any) -> Document:
        """Send a request and return the JSON document of a successful response."""
        document: Document = self.send(method, path, **options).json()
        return document

    def send(self, method: str, path: str, accept: Container[int] = (), **options: Any) -> httpx.Response:
        """Send a request and return the response if it is a success or its status is in `accept`."""
        try:
            response = self._http.request(method, path, **options)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from None
        if response.status_code not in accept:
            _check(response)
        return response

    @contextmanager
    def stream(self, path: str, **options: Any) -> Iterator[httpx.Response]:
        """GET a path and yield the response before its body is read."""
        try:
            with self._http.stream("GET", path, **options) as response:
                _check(response)
                yield response
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: Exception) -> Unreachable:
        return Unreachable(f"no service answers at {self._url} ({error}); start one with `quantd up` or set QUANTD_URL")


def _check(response: httpx.Response) -> None:
    """Raise the error of a response that is not a success."""
    if response.is_success:
        return
    response.read()
    try:
        problem = response.json()
        detail = str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        problem = {}
        detail = f"{response.request.method} {response.request.url.path} returned {response.status_code}"
    raise (Unreachable if response.status_code == 503 else ClientError)(detail, problem)
