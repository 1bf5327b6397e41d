"""Authentication and rate limits: the caller is identified before any of a request's body is read.

A request comes with an API key (`Authorization: Bearer qd_...`) or, from the pages, with the cookie of a session. The
cookie counts only in requests of our own pages. A request that changes something also needs the session's CSRF token:
below `/v1/` and from agents in a header, on pages in a header or a form's field (`service.pages.frame`). All messages
of agents are POSTs, so each tool checks the scope that it needs (`service.agents.tools`).
"""

from urllib.parse import quote

import redis
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs.browser_sessions import csrf_token
from jobs.errors import Forbidden, Unauthenticated
from jobs.http_status import problem_of
from jobs.keys import Allowance, Key
from jobs.keys import Scope as KeyScope
from jobs.settings import Settings
from quant.errors import QuantdError
from service.agents.endpoint import AGENTS_PATH
from service.browser import CSRF_HEADER, READING, check_csrf_token, check_local, check_same_origin, session_cookie
from service.context import ANONYMOUS, Caller, Context
from service.pages.frame import is_page_request
from service.problems import SHARES, answer_problem, unavailable
from service.rates import check_rate, count_request

SIGN_OUT = "/sign-out"
NO_SCOPE = frozenset({SIGN_OUT, AGENTS_PATH})
"""Paths that every key reaches, whatever its scopes are."""
PUBLIC = frozenset({"/livez", "/readyz", "/openapi.json", "/docs", "/sign-in"})
"""Paths without any tenant's data. Every other path needs a key, even one that does not exist."""
PUBLIC_PAGES = frozenset({"/docs"})
"""The public paths that still show who is signed in."""
PUBLIC_FOLDERS = ("/static/", SHARES)
"""Folders without authentication: packaged assets, and reports whose path is the permission to read them."""


class Guard:
    """ASGI middleware that identifies the caller, or answers with 401, 403, 421, 429 or the way to the sign-in."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context: Context = scope["app"].state.context
        request = Request(scope)
        headers: dict[str, str] = {}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        try:
            caller = await run_in_threadpool(_authenticate, context, request)
            scope.setdefault("state", {})["caller"] = caller
            if caller is not None and caller.csrf_token:
                headers["Cache-Control"] = "no-store"  # nobody finds it in the browser after the sign-out
            if caller is not None and caller.allowance.rate is not None:
                headers |= await run_in_threadpool(count_request, context, caller.key_id, caller.allowance.rate)
                check_rate(headers, caller.allowance.rate)
        except Unauthenticated as error:
            sign_in = _sign_in_path(request)
            response = RedirectResponse(sign_in, 303) if sign_in else answer_problem(request, problem_of(error))
            await response(scope, receive, send_with_headers)
        except QuantdError as error:
            await answer_problem(request, problem_of(error))(scope, receive, send_with_headers)
        except redis.RedisError as error:
            await unavailable(request, error)(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)


def _authenticate(context: Context, request: Request) -> Caller | None:
    """Return the caller; None for a public path.

    Raises:
        Unauthenticated: the request has neither a valid key nor a session's cookie.
        Forbidden: the key lacks the scope that the method needs.
        Misdirected: the request comes from a foreign web page and has no key of its own.
        InvalidCsrfToken: a request of a session changes something without the session's CSRF token.
        Unavailable: the index is being restored, so that not even the key can be found.
    """
    path: str = request.scope["path"]  # the path that is routed, whatever the Host header holds
    if _needs_index(path, request.method, context.settings):
        context.epochs.check()
    if context.settings.auth == "off":
        check_local(request.headers)
        check_same_origin(request.headers, request.method)
        return ANONYMOUS
    if path in PUBLIC or path.startswith(PUBLIC_FOLDERS):
        return _caller_if_signed_in(context, request) if path in PUBLIC_PAGES else None
    if path == AGENTS_PATH:  # as MCP demands of servers, whatever identifies the caller
        check_same_origin(request.headers, request.method)
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return _caller(context.keys.check(text.strip()), context.settings, request)
    return _caller_of_session(context, request)


def _needs_index(path: str, method: str, settings: Settings) -> bool:
    """Return True for a request that only a complete index can answer, if only because its key is there."""
    if path in PUBLIC:
        return path == "/sign-in" and method not in READING
    return not path.startswith(PUBLIC_FOLDERS) and not (path == "/metrics" and settings.auth == "off")


def _caller_of_session(context: Context, request: Request) -> Caller:
    """Return the caller of a request with a session's cookie."""
    cookie = session_cookie(request.cookies)
    if cookie is None:
        raise Unauthenticated("the request has no API key; accepted: the header `Authorization: Bearer qd_...`")
    check_same_origin(request.headers, request.method)
    key = context.keys.active(context.browser_sessions.key_id(*cookie))
    token = csrf_token(cookie[1])
    path: str = request.scope["path"]
    if (path.startswith("/v1/") or path == AGENTS_PATH) and request.method not in READING:
        check_csrf_token(token, request.headers.get(CSRF_HEADER))
    return _caller(key, context.settings, request, token)


def _caller_if_signed_in(context: Context, request: Request) -> Caller | None:
    try:
        return _caller_of_session(context, request)
    except QuantdError:
        return None


def _caller(key: Key, settings: Settings, request: Request, token: str = "") -> Caller:
    """Return the caller with this key, whose scopes must permit the method, but on paths that need no scope."""
    needed = KeyScope.READ if request.method in READING else KeyScope.WRITE
    if needed not in key.scopes and request.scope["path"] not in NO_SCOPE:
        raise Forbidden(f"{request.method} needs the scope `{needed}`; the key {key.id} has {', '.join(key.scopes)}")
    return Caller(key.tenant, key.id, _allowance(key, settings), key.scopes, token)


def _allowance(key: Key, settings: Settings) -> Allowance:
    """Return the key's limits, completed with the service's defaults."""
    defaults = Allowance(rate=settings.key_rate, stored=settings.key_stored_bytes, open_jobs=settings.key_open_jobs)
    return defaults.model_copy(update=key.allowance.model_dump(exclude_none=True))


def _sign_in_path(request: Request) -> str | None:
    """Return the address of the sign-in for a browser that opens a page; None for any other request."""
    if not is_page_request(request):
        return None
    if request.scope["path"] == SIGN_OUT:
        return "/sign-in"
    if request.method != "GET":
        return None
    query = request.scope["query_string"].decode("latin-1")
    target = quote(request.scope["path"]) + (f"?{query}" if query else "")
    return "/sign-in?next=" + quote(target, safe="/")
