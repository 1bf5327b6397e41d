"""Requests of browsers: the cookie of a session, the page that a request comes from, and the CSRF token."""

import ipaddress
import secrets
from collections.abc import Mapping
from urllib.parse import urlsplit

from fastapi import Response
from starlette.datastructures import Headers

from jobs.errors import InvalidCsrfToken, Misdirected

READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""The methods that change nothing."""
CSRF_HEADER = "X-CSRF-Token"
CSRF_FIELD = "csrf_token"
COOKIE = "quantd"
SECURE_COOKIE = "__Host-quantd"
"""The name behind https: a browser lets neither another host nor a page without TLS set a cookie of this name."""


def session_cookie(cookies: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the name and the token of the session's cookie; None if the request has none."""
    return next(((name, cookies[name]) for name in (SECURE_COOKIE, COOKIE) if cookies.get(name)), None)


def cookie_name(scheme: str, headers: Headers) -> str:
    """Return the name of the cookie for a browser that signs in.

    The browser itself says in `Origin` if it came by https, also to a proxy that talks plain http to the gateway.
    """
    secure = scheme == "https" or headers.get("origin", "").startswith("https://")
    return SECURE_COOKIE if secure else COOKIE


def set_session_cookie(response: Response, name: str, token: str) -> None:
    """Send the session's token; it lasts until the browser closes, or the session ends."""
    response.set_cookie(name, token, path="/", secure=name == SECURE_COOKIE, httponly=True, samesite="lax")


def delete_session_cookie(response: Response, name: str) -> None:
    """Make the browser forget the session's token."""
    response.delete_cookie(name, path="/", secure=name == SECURE_COOKIE, httponly=True, samesite="lax")


def check_same_origin(headers: Headers, method: str) -> None:
    """Refuse requests that the page of another origin makes with this browser's cookies.

    A link on such a page may open a page of ours, but not load it as a part of its own.

    Raises:
        Misdirected: the request comes from another origin.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site in ("same-origin", "none"):
        return
    if site is not None:
        link = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")
        same = link and method in READING
    else:  # an old browser, or plain http to another machine
        same = origin is None or origin.partition("://")[2] == headers.get("host", "")
    if not same:
        raise Misdirected(f"the request comes from a page of {origin or 'another origin'!r}; accepted: our own pages")


def check_csrf_token(expected: str, sent: object) -> None:
    """Compare the CSRF token that was sent with the session's.

    Raises:
        InvalidCsrfToken: they differ.
    """
    if not isinstance(sent, str) or not secrets.compare_digest(sent.encode(), expected.encode()):
        raise InvalidCsrfToken(
            f"the request lacks the session's CSRF token; accepted: the form field {CSRF_FIELD!r} of a page, or the "
            f"header {CSRF_HEADER}; reload the page and try again"
        )


def check_local(headers: Headers) -> None:
    """Refuse requests that a foreign web page makes through a local browser (DNS rebinding, cross-origin requests).

    Raises:
        Misdirected: the Host header is not a loopback name, or the request comes from another page.
    """
    host, origin = headers.get("host", ""), headers.get("origin")
    if not is_loopback(_hostname(host)):
        raise Misdirected(
            f"the request's host is {host!r}; accepted without API keys: localhost and other loopback names"
        )
    if origin is not None and origin.partition("://")[2] != host:
        raise Misdirected(
            f"the request comes from a page of {origin!r}; accepted without API keys: no other origin; "
            "to accept others, set QUANTD_AUTH=required"
        )


def is_loopback(host: str) -> bool:
    """Return True if the host is localhost or a loopback address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _hostname(host: str) -> str:
    """Return the name in a Host header, without the port; "" if it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
