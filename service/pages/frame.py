"""The frame of every page: rendering in the layout, response headers, and the check of the CSRF token."""

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from jobs.job import Problem
from service.browser import CSRF_FIELD, CSRF_HEADER, READING, check_csrf_token
from service.context import Caller, Context
from service.pages.assets import static

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-src 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # not no-referrer: a browser would then send `Origin: null` with forms
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

templates = Environment(
    loader=PackageLoader("service", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
templates.globals["static"] = static


def render(request: Request, template: str, /, *, status: int = 200, **values: object) -> HTMLResponse:
    """Return a page.

    Args:
        request: the request that the page answers.
        template: the name of a template in `service/templates/` that extends `layout.html`.
        status: the HTTP status of the answer.
        values: the template's own values.
    """
    caller = caller_of(request)
    common = {"caller": caller, "csrf_token": caller.csrf_token if caller else "", "path": request.scope["path"]}
    return HTMLResponse(templates.get_template(template).render(common | values), status, HEADERS)


def render_problem(request: Request, problem: Problem) -> HTMLResponse:
    """Return the page that says what went wrong."""
    request_id = request.scope["state"].get("request_id", "")
    return render(request, "problem.html", status=problem.status, problem=problem, request_id=request_id)


def is_page_request(request: Request) -> bool:
    """Return True if a person's browser asks for a page, so that even an error must be readable HTML."""
    return not request.scope["path"].startswith("/v1/") and "text/html" in request.headers.get("accept", "")


def caller_of(request: Request) -> Caller | None:
    """Return the caller that the guard identified; None on a public path."""
    caller: Caller | None = request.scope["state"].get("caller")
    return caller


def context_of(request: Request) -> Context:
    """Return the application's context, for pages that need no caller."""
    context: Context = request.app.state.context
    return context


async def check_csrf(request: Request) -> None:
    """Check the CSRF token of a request that changes something, from its header or its form.

    Raises:
        InvalidCsrfToken: the request comes with a session's cookie and without the session's token.
    """
    caller = caller_of(request)
    if caller is None or not caller.csrf_token or request.method in READING:
        return
    check_csrf_token(caller.csrf_token, request.headers.get(CSRF_HEADER) or (await request.form()).get(CSRF_FIELD))


def page_router() -> APIRouter:
    """Return a router for pages: they are not part of the API's description, and the CSRF token is checked."""
    return APIRouter(include_in_schema=False, default_response_class=HTMLResponse, dependencies=[Depends(check_csrf)])
