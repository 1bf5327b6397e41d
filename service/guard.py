"""Who may come in: an API key, checked before anything of a request's body is read."""

import redis
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from jobs.errors import Forbidden, Unauthenticated
from jobs.keys import Scope as KeyScope
from jobs.problem import problem_of
from quant.errors import QuantdError
from service.context import NOBODY, Caller, Context
from service.problems import away, respond

PUBLIC = frozenset({"/", "/livez", "/readyz", "/openapi.json", "/docs", "/docs/oauth2-redirect"})
"""What anybody may see: nothing of any tenant is there. Every other path needs a key, also one that is not there."""
READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """Lets a request in as its key's tenant, or answers it with 401 or 403."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            caller = await run_in_threadpool(_admit, scope["app"].state.context, scope)
        except QuantdError as error:
            await respond(problem_of(error))(scope, receive, send)
        except redis.RedisError as error:
            await away(scope["path"], error)(scope, receive, send)
        else:
            scope.setdefault("state", {})["caller"] = caller
            await self._app(scope, receive, send)


def _admit(context: Context, scope: Scope) -> Caller | None:
    """Who asks; None for a public page.

    Raises:
        Unauthenticated: there is no key, or none that is valid.
        Forbidden: the key has not the scope that the method needs.
    """
    if context.settings.auth == "off":
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
    return Caller(key.tenant, key.id, key.scopes, key.allowance)
