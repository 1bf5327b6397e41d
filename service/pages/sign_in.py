"""Signing in with an API key, and signing out."""

import re
from typing import Annotated

import structlog
from fastapi import Form, Request, Response
from fastapi.responses import RedirectResponse

from jobs.errors import Unauthenticated
from jobs.http_status import status_of
from quant.errors import QuantdError
from service.browser import (
    check_same_origin,
    cookie_name,
    delete_session_cookie,
    is_loopback,
    session_cookie,
    set_session_cookie,
)
from service.context import Context
from service.pages.frame import context_of, page_router, render
from service.rates import check_rate, check_sign_ins, count_failed_sign_in, count_request

INVALID = "This API key is not valid. It may be mistyped, unknown or revoked."
"""The message for every wrong key: it does not tell which part was wrong."""
_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*")
"""A path of this service in printable ASCII. `//host` and `/\\host` would lead to another one."""

router = page_router()
log = structlog.get_logger()


@router.get("/sign-in")
def show_sign_in(request: Request, next: str = "/") -> Response:
    """Show the form for the API key; nobody needs it while authentication is off."""
    if context_of(request).settings.auth == "off":
        return RedirectResponse("/", 303)
    return _form(request, next)


@router.post("/sign-in")
def sign_in(request: Request, key: Annotated[str, Form()] = "", next: Annotated[str, Form()] = "/") -> Response:
    """Begin a session with a new token, end the browser's earlier one, and open the page that asked for the sign-in.

    A page of another origin cannot sign anybody in: nobody works in a stranger's session without knowing.
    """
    context = context_of(request)
    try:
        check_same_origin(request.headers, request.method)
        key_id = _check_key(context, request, key.strip())
    except QuantdError as error:
        return _form(request, next, error)
    if earlier := session_cookie(request.cookies):
        context.browser_sessions.end(*earlier)
    name = cookie_name(request.url.scheme, request.headers)
    response = RedirectResponse(_local_path(next), 303)
    log.info("signed in", key=key_id)
    set_session_cookie(response, name, context.browser_sessions.begin(key_id, name))
    return response


@router.post("/sign-out")
def sign_out(request: Request) -> Response:
    """End the session and show the form again."""
    response = RedirectResponse("/sign-in", 303)
    cookie = session_cookie(request.cookies)
    if cookie is not None:
        context_of(request).browser_sessions.end(*cookie)
        delete_session_cookie(response, cookie[0])
    return response


def _check_key(context: Context, request: Request, text: str) -> str:
    """Return the id of the key with this text.

    Raises:
        Unauthenticated: it is not valid.
        RateLimited: too many sign-ins failed from the same address, or the key sent too many requests.
    """
    address = request.client.host if request.client else ""
    check_sign_ins(context, address)
    try:
        key = context.keys.check(text)
    except Unauthenticated:
        count_failed_sign_in(context, address)
        raise
    rate = key.allowance.rate or context.settings.key_rate
    check_rate(count_request(context, key.id, rate), rate)
    return key.id


def _form(request: Request, target: str, error: QuantdError | None = None) -> Response:
    """Return the form; its answer to a wrong key is 401 without a challenge, since a person sees it."""
    message = INVALID if isinstance(error, Unauthenticated) else error.detail if error else None
    # browsers send Sec-Fetch-Site by https and to loopback addresses only, whatever proxies make of the scheme
    encrypted = request.url.scheme == "https" or "sec-fetch-site" in request.headers
    return render(
        request,
        "sign_in.html",
        status=status_of(error.code) if error else 200,
        next=_local_path(target),
        message=message,
        encrypted=encrypted or is_loopback(request.url.hostname or ""),
    )


def _local_path(target: str) -> str:
    """Return the target of a redirect if it is a path of this service, else the front page."""
    return target if _PATH.fullmatch(target) and len(target) <= 2048 else "/"
