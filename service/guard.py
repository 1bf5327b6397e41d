"""Authentication and rate limits: the API key is checked before any of a request's body is read."""

import ipaddress
import math
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import redis
from limits import RateLimitItemPerMinute
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs.errors import Forbidden, Misdirected, RateLimited, Unauthenticated
from jobs.http_status import problem_of
from jobs.keys import Allowance, Key
from jobs.keys import Scope as KeyScope
from jobs.settings import Settings
from quant.errors import QuantdError
from service.context import ANONYMOUS, Caller, Context
from service.problems import respond, unavailable

PUBLIC = frozenset({"/", "/livez", "/readyz", "/openapi.json", "/docs", "/docs/oauth2-redirect"})
"""Paths without any tenant's data. Every other path needs a key, even one that does not exist."""
POLICY = "requests"
READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """ASGI middleware that identifies the caller, or answers with 401, 403, 421 or 429."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context: Context = scope["app"].state.context
        headers: dict[str, str] = {}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        try:
            caller = await run_in_threadpool(_authenticate, context, scope)
            if caller is not None and caller.allowance.rate is not None:
                headers |= await run_in_threadpool(_count_request, context, caller.key_id, caller.allowance.rate)
                _check_rate(headers, caller.allowance.rate)
        except QuantdError as error:
            await respond(problem_of(error))(scope, receive, send_with_headers)
        except redis.RedisError as error:
            await unavailable(scope["path"], error)(scope, receive, send_with_headers)
        else:
            scope.setdefault("state", {})["caller"] = caller
            await self._app(scope, receive, send_with_headers)


def _authenticate(context: Context, scope: Scope) -> Caller | None:
    """Return the caller; None for a public path.

    Raises:
        Unauthenticated: the request has no valid key.
        Forbidden: the key lacks the scope that the method needs.
        Misdirected: authentication is off and the request may come from a foreign web page.
    """
    if context.settings.auth == "off":
        _check_local(Headers(scope=scope))
        return ANONYMOUS
    if scope["path"] in PUBLIC:
        return None
    scheme, _, text = Headers(scope=scope).get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("the request has no API key; accepted: the header `Authorization: Bearer qd_...`")
    key = context.keys.check(text.strip())
    needed = KeyScope.READ if scope["method"] in READING else KeyScope.WRITE
    if needed not in key.scopes:
        raise Forbidden(f"{scope['method']} needs the scope {needed!r}; the key {key.id} has {', '.join(key.scopes)}")
    return Caller(key.tenant, key.id, _allowance(key, context.settings))


def _check_local(headers: Headers) -> None:
    """Refuse requests that a foreign web page makes through a local browser (DNS rebinding, cross-origin requests).

    Raises:
        Misdirected: the Host header is not a loopback name, or the Origin header names another page.
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


def _hostname(host: str) -> str:
    """Return the name in a Host header, without the port; "" if it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Return True if the host is localhost or a loopback address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _allowance(key: Key, settings: Settings) -> Allowance:
    """Return the key's limits, completed with the service's defaults."""
    defaults = Allowance(rate=settings.key_rate, stored=settings.key_stored_bytes, open_jobs=settings.key_open_jobs)
    return defaults.model_copy(update=key.allowance.model_dump(exclude_none=True))


def _count_request(context: Context, key_id: str, rate: int) -> dict[str, str]:
    """Count a request and return the headers of draft-ietf-httpapi-ratelimit-headers-11.

    `r` is the number of requests that remain in this window of `w` seconds, which ends in `t` seconds. `Retry-After`
    is among the headers if the request is over the limit.
    """
    item = RateLimitItemPerMinute(rate)
    allowed = context.rates.hit(item, key_id)
    window = context.rates.get_window_stats(item, key_id)
    seconds_left = max(math.ceil(window.reset_time - time.time()), 1)
    headers = {
        "RateLimit-Policy": f'"{POLICY}";q={rate};w={item.get_expiry()}',
        "RateLimit": f'"{POLICY}";r={window.remaining};t={seconds_left}',
    }
    return headers if allowed else headers | {"Retry-After": str(seconds_left)}


def _check_rate(headers: Mapping[str, str], rate: int) -> None:
    """Refuse a counted request that is over the limit.

    Raises:
        RateLimited: it is.
    """
    if "Retry-After" in headers:
        raise RateLimited(f"the limit is {rate} requests a minute; try again in {headers['Retry-After']} s")
