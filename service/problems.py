"""Everything that goes wrong leaves the gateway as `application/problem+json`."""

from collections.abc import Awaitable, Callable
from typing import Any

import redis
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from kombu.exceptions import OperationalError
from obstore.exceptions import BaseError as StoreError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from jobs.errors import BadRequest, MethodNotAllowed, NotFound, TooLarge
from jobs.http_status import make_problem, problem_of
from jobs.job import FieldProblem, Problem
from quant.errors import QuantdError

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"


def header_docs(**headers: str) -> dict[str, Any]:
    """What is told of an answer's headers, by their names with `_` for `-`."""
    return {
        name.replace("_", "-"): {"description": text, "schema": {"type": "string"}} for name, text in headers.items()
    }


def _problem(description: str, later: str) -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": description, "content": content, "headers": header_docs(Retry_After=later)}


RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": _problem("What was wrong, where, and what would be accepted.", "with 429: seconds"),
    "5XX": _problem("A part of the service failed or is away.", "with 503: seconds"),
}
"""Documented on every endpoint."""
_HTTP_ERRORS: dict[int, type[QuantdError]] = {404: NotFound, 405: MethodNotAllowed, 413: TooLarge}

_HEADERS = {
    401: {"WWW-Authenticate": "Bearer"},
    412: {"Tus-Version": "1.0.0"},
    429: {"Retry-After": "5"},
    503: {"Retry-After": "2"},
}


def respond(problem: Problem) -> Response:
    headers = _HEADERS.get(problem.status)
    return Response(problem.model_dump_json(), problem.status, headers=headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Register a handler for each family of errors."""
    handlers: dict[type[Exception], Callable[[Request, Any], Awaitable[Response]]] = {
        QuantdError: _known,
        RequestValidationError: _invalid,
        HTTPException: _http,
        redis.ConnectionError: _away,
        redis.TimeoutError: _away,
        OperationalError: _away,
        StoreError: _away,
        ClientDisconnect: _hung_up,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


async def _known(request: Request, error: QuantdError) -> Response:
    return respond(problem_of(error))


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    faults = [
        FieldProblem(
            pointer="".join(f"/{part}" for part in fault["loc"][1:]), detail=f"{fault['loc'][0]}: {fault['msg']}"
        )
        for fault in error.errors()
    ]
    listed = "; ".join(f"{fault.pointer or '/'} {fault.detail}" for fault in faults)
    return respond(make_problem("request.invalid", "The request is not valid", listed, faults))


async def _http(request: Request, error: HTTPException) -> Response:
    kind = _HTTP_ERRORS.get(error.status_code, BadRequest)
    problem = make_problem(kind.code, kind.title, f"{request.method} {request.url.path}: {error.detail}")
    response = respond(problem.model_copy(update={"status": error.status_code}))
    response.headers.update(error.headers or {})
    if error.status_code == 405:
        response.headers["Allow"] = ", ".join(_methods(request))
    return response


def _methods(request: Request) -> list[str]:
    """Every method that the path has: Starlette names those of the first route alone."""
    return [
        method
        for method in ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
        if any(route.matches({**request.scope, "method": method})[0] == Match.FULL for route in request.app.routes)
    ]


async def _away(request: Request, error: Exception) -> Response:
    return away(request.url.path, error)


def away(path: str, error: Exception) -> Response:
    """The answer where Redis or the object store cannot be reached."""
    log.warning("a part is away", path=path, error=str(error))
    detail = "the record store or the object store cannot be reached; try again"
    return respond(make_problem("service.unavailable", "A part of the service is away", detail))


async def _hung_up(request: Request, error: ClientDisconnect) -> Response:
    return Response(status_code=400)  # nobody reads it
