"""Error handlers: every failure leaves the gateway as `application/problem+json` (RFC 9457)."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import redis
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from kombu.exceptions import OperationalError
from obstore.exceptions import BaseError as StoreError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from jobs.connection import is_unavailable
from jobs.errors import BadRequest, MethodNotAllowed, NotFound, TooLarge, Unavailable
from jobs.http_status import make_problem, problem_of
from jobs.job import Problem
from quant.errors import MOST_FAULTS, FieldError, QuantdError
from quant.texts import closest, shortened
from service.pages.frame import is_page_request, render_problem

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
NEWLINE = "\n"
SHARES = "/share/"
"""The folder of share links; the rest of such a path is a secret."""


def header_docs(**headers: str) -> dict[str, Any]:
    """Return the OpenAPI description of response headers, by name with `_` for `-`."""
    return {
        name.replace("_", "-"): {"description": text, "schema": {"type": "string"}} for name, text in headers.items()
    }


PROBLEM_STATUSES = {
    400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict",
    412: "PreconditionFailed", 413: "ContentTooLarge", 415: "UnsupportedMediaType", 416: "RangeNotSatisfiable",
    421: "MisdirectedRequest", 422: "UnprocessableContent", 429: "TooManyRequests", 500: "InternalError",
    503: "Unavailable",
}  # fmt: skip
"""The names of the responses with problems, by their status."""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the documented responses with the problems of these statuses."""
    return {status: {"$ref": f"#/components/responses/{PROBLEM_STATUSES[status]}"} for status in statuses}


RESPONSES = problems(400, 401, 403, 421, 429, 500, 503)
"""The problems that every endpoint documents."""
_HTTP_ERRORS: dict[int, type[QuantdError]] = {404: NotFound, 405: MethodNotAllowed, 413: TooLarge}

_HEADERS = {
    401: {"WWW-Authenticate": "Bearer"},
    412: {"Tus-Version": "1.0.0"},
    429: {"Retry-After": "5"},
    503: {"Retry-After": "2"},
}


def respond(problem: Problem) -> Response:
    """Return the response for a problem, with the headers that its status needs."""
    headers = _HEADERS.get(problem.status)
    return Response(problem.model_dump_json(), problem.status, headers=headers, media_type=MEDIA_TYPE)


def titles_by_code(family: type[QuantdError] = QuantdError) -> dict[str, str]:
    """Return the titles of the problems of a family of errors, by code."""
    titles = {family.code: family.title}
    for error in family.__subclasses__():
        titles |= titles_by_code(error)
    return titles


def logged_path(path: str) -> str:
    """Return the path as the log may show it: the token of a share link is the permission to read a report."""
    return f"{SHARES}..." if path.startswith(SHARES) else path


def answer_problem(request: Request, problem: Problem) -> Response:
    """Return the response for a problem: a page for a person's browser, else JSON."""
    if not is_page_request(request):
        return respond(problem)
    page = render_problem(request, problem)
    page.headers.update(_HEADERS.get(problem.status, {}))
    return page


def unavailable(request: Request, error: Exception) -> Response:
    """Return the response for a request that could not reach Redis or the object store."""
    return answer_problem(request, store_problem(request, error))


FAILURES = (QuantdError, redis.RedisError, OperationalError, StoreError, UnicodeEncodeError)
"""The exceptions that callers and stores cause; any other one is a fault of the service."""


async def describe_failure(request: Request, error: Exception) -> Problem:
    """Return the problem of one of the `FAILURES`.

    Raises:
        redis.RedisError: `error` itself, if it does not say that the record store is unavailable.
    """
    if isinstance(error, NotFound):
        try:  # a fail-over between the check of the guard and the look-up may have lost what was looked for
            await run_in_threadpool(request.app.state.context.epochs.check)
        except redis.RedisError as failure:
            return store_problem(request, failure)
        except Unavailable as failure:
            error = failure
    if isinstance(error, QuantdError):
        return problem_of(error)
    if isinstance(error, UnicodeEncodeError):
        detail = "a text of the request holds half of a surrogate pair; accepted: Unicode text"
        return problem_of(BadRequest(detail))
    if isinstance(error, redis.RedisError) and not is_unavailable(error):
        raise error
    return store_problem(request, error)


def store_problem(request: Request, error: Exception) -> Problem:
    """Return the problem of a request that could not reach Redis or the object store, and log it."""
    log.warning("a store is unavailable", path=logged_path(request.scope["path"]), error=str(error))
    return problem_of(Unavailable("the record store or the object store cannot be reached; try again"))


def invalid_request(faults: Iterable[Mapping[str, Any]], known: Iterable[str], body: Any = None) -> BadRequest:
    """Return the error of a request that does not fit its model.

    Args:
        faults: the faults, as pydantic describes them; the first part of each location names the part of the request.
        known: the keys of the body.
        body: the text of a body that is no JSON.
    """
    errors = [
        # suggestions take time, and the rest is left out
        _field_problem(fault, known if index < MOST_FAULTS else (), body)
        for index, fault in enumerate(faults)
    ]
    detail = "; ".join(f"{error.pointer or '/'} {error.detail}" for error in errors[:MOST_FAULTS])
    return BadRequest(detail, errors)


def install(app: FastAPI) -> None:
    """Register a handler for each family of errors."""
    handlers: dict[type[Exception], Callable[[Request, Any], Awaitable[Response]]] = {
        **dict.fromkeys(FAILURES, _on_failure),
        RequestValidationError: _on_invalid_request,
        HTTPException: _on_http_exception,
        ClientDisconnect: _on_disconnect,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


async def _on_failure(request: Request, error: Exception) -> Response:
    return answer_problem(request, await describe_failure(request, error))


async def _on_invalid_request(request: Request, error: RequestValidationError) -> Response:
    keys = getattr(request.scope.get("route"), "body_field", None)
    known = getattr(keys and keys.field_info.annotation, "model_fields", ())
    return answer_problem(request, problem_of(invalid_request(error.errors(), known, error.body)))


def _field_problem(fault: Mapping[str, Any], known: Iterable[str], body: Any) -> FieldError:
    """Return a fault of a request; one of a body that is no JSON has its position instead of a pointer.

    Args:
        fault: the fault, as pydantic describes it.
        known: the keys of the body.
        body: the text of a body that is no JSON.
    """
    place, *path = fault["loc"]
    if fault["type"] == "json_invalid":
        reason = fault["ctx"]["error"]
        before = str(body)[: path[0]]
        position = f"line {before.count(NEWLINE) + 1}, column {len(before) - before.rfind(NEWLINE)}"
        return FieldError("", f"{place}: not JSON at {position}: {reason}; accepted: JSON")
    if fault["type"] == "extra_forbidden" and len(path) == 1:
        key = shortened(str(path[0]))
        listed = f"accepted: {', '.join(known)}"
        return FieldError(f"/{key}", f"{place}: unknown key `{key}`{closest(key, known)}; {listed}")
    return FieldError("".join(f"/{part}" for part in path), f"{place}: {fault['msg']}")


async def _on_http_exception(request: Request, error: HTTPException) -> Response:
    kind = _HTTP_ERRORS.get(error.status_code, BadRequest)
    reason = "there is nothing at this path; /docs describes the API" if error.status_code == 404 else error.detail
    problem = make_problem(kind.code, kind.title, f"{request.method} {request.scope['path']}: {reason}")
    response = answer_problem(request, problem.model_copy(update={"status": error.status_code}))
    response.headers.update(error.headers or {})
    if error.status_code == 405:
        response.headers["Allow"] = ", ".join(_allowed_methods(request))
    return response


def _allowed_methods(request: Request) -> list[str]:
    """Return every method that the path has; Starlette names only those of the first route that matches."""
    methods = [
        method
        for method in ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
        if any(route.matches({**request.scope, "method": method})[0] == Match.FULL for route in request.app.routes)
    ]
    return sorted({*methods, "HEAD"}) if "GET" in methods else methods


async def _on_disconnect(request: Request, error: ClientDisconnect) -> Response:
    return Response(status_code=400)  # the caller is gone: nobody reads this
