"""Documents and headers of responses, checked: another program may answer at the address of the service."""

from typing import Any

import httpx

from quantd.errors import Unreachable

Document = dict[str, Any]


def document_of(response: httpx.Response, *names: str) -> Document:
    """Return the JSON object in a response, which has fields of these names.

    Raises:
        Unreachable: the body is something else.
    """
    try:
        document = response.json()
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or not all(name in document for name in names):
        raise _not_quantd(response, f"a JSON object with {', '.join(names)}" if names else "a JSON object")
    return document


def header_of(response: httpx.Response, name: str) -> str:
    """Return a header of a response.

    Raises:
        Unreachable: the response lacks it.
    """
    if name not in response.headers:
        raise _not_quantd(response, f"the header {name}")
    return str(response.headers[name])


def _not_quantd(response: httpx.Response, expected: str) -> Unreachable:
    """Return the error for a success that the service would not have sent."""
    request = response.request
    detail = (
        f"{request.method} {request.url} returned {response.status_code} without {expected}, so it is not quantd that "
        "answers; set QUANTD_URL to the address of the service"
    )
    return Unreachable(detail, may_pass=False)
