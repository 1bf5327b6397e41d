"""Who may come in, and how often: an API key, checked before anything of a request's body is read."""

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
from service.context import NOBODY, Caller, Context
from service.problems import away, respond

PUBLIC = frozenset({"/", "/livez", "/readyz", "/openapi.json", "/docs", "/docs/oauth2-redirect"})
"""What anybody may see: nothing of any tenant is there. Every other path needs a key, also one that is not there."""
POLICY = "requests"
READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """Lets a request in as its key's tenant, or answers it with 401, 403 or 429."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context: Context = scope["app"].state.context
        headers: dict[str, str] = {}

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        try:
            caller = await run_in_threadpool(_admit, context, scope)
            if caller is not None and caller.allowance.rate is not None:
                headers |= await run_in_threadpool(_count, context, caller.key_id, caller.allowance.rate)
                _check_rate(headers, caller.allowance.rate)
        except QuantdError as error:
            await respond(problem_of(error))(scope, receive, answer)
        except redis.RedisError as error:
            await away(scope["path"], error)(scope, receive, answer)
        else:
            scope.setdefault("state", {})["caller"] = caller
            await self._app(scope, receive, answer)


def _admit(context: Context, scope: Scope) -> Caller | None:
    """Who asks; None for a public page.

    Raises:
        Unauthenticated: there is no key, or none that is valid.
        Forbidden: the key has not the scope that the method needs.
        Misdirected: without keys, a page from elsewhere asks through the browser of whoever sits here.
    """
    if context.settings.auth == "off":
        _check_page(Headers(scope=scope))
        return NOBODY
    if scope["path"] in PUBLIC:
        return None
    kind, _, text = Headers(scope=scope).get("authorization", "").partition(" ")
    if kind.lower() != "bearer":
        raise Unauthenticated("the request has no API key; accepted: the header `Authorization: Bearer qd_...`")
    key = context.keys.check(text.strip())
    needed = KeyScope.READ if scope["method"] in READING else KeyScope.WRITE
    if needed not in key.scopes:
        raise Forbidden(f"{scope['method']} needs the scope {needed!r}; the key {key.id} has {', '.join(key.scopes)}")
    return Caller(key.tenant, key.id, _allowance(key, context.settings))


def _check_page(headers: Headers) -> None:
    """Refuse what a browser was made to send: by a name that leads here (DNS rebinding), or across origins."""
    host, origin = headers.get("host", ""), headers.get("origin")
    if not is_loopback(_hostname(host)):
        raise Misdirected(
            f"without API keys the service answers to loopback names alone, not to {host!r}; use localhost"
        )
    if origin is not None and origin.partition("://")[2] != host:
        raise Misdirected(f"without API keys no other page may ask, and {origin!r} is one; set QUANTD_AUTH=required")


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _allowance(key: Key, settings: Settings) -> Allowance:
    """What the key says of itself, and the service's own figures for the rest."""
    own = Allowance(rate=settings.key_rate, stored=settings.key_stored_bytes, open_jobs=settings.key_open_jobs)
    return own.model_copy(update=key.allowance.model_dump(exclude_none=True))


def _count(context: Context, key_id: str, rate: int) -> dict[str, str]:
    """Count a request; the headers of draft-ietf-httpapi-ratelimit-headers-11 that tell what is left.

    `r` is the number of requests that remain in this window of `w` seconds, which ends in `t` seconds.
    """
    item = RateLimitItemPerMinute(rate)
    allowed = context.rates.hit(item, key_id)
    window = context.rates.get_window_stats(item, key_id)
    ends = max(math.ceil(window.reset_time - time.time()), 1)
    headers = {
        "RateLimit-Policy": f'"{POLICY}";q={rate};w={item.get_expiry()}',
        "RateLimit": f'"{POLICY}";r={window.remaining};t={ends}',
    }
    return headers if allowed else headers | {"Retry-After": str(ends)}


def _check_rate(headers: Mapping[str, str], rate: int) -> None:
    """Refuse a request that was counted and not allowed.

    Raises:
        RateLimited: it was one too many.
    """
    if "Retry-After" in headers:
        raise RateLimited(f"{rate} requests a minute are allowed; try again in {headers['Retry-After']} s")
