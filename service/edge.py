"""What every request passes through: its id, the size of its body, its count, and the answer where nobody has one."""

import re
import uuid

import structlog
from fastapi import HTTPException
from prometheus_client import Counter
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs.problem import make_problem
from jobs.settings import Settings
from service.problems import respond

DOCUMENT_BYTES = 1 << 20
"""The largest JSON body, and what a form may have around its files."""
REQUESTS = Counter("quantd_requests", "Requests answered.", ["method", "route", "status"])
_REQUEST_ID = re.compile(r"^[\w.:-]{1,128}$")

log = structlog.get_logger()


class Edge:
    """The outermost layer that is ours; a plain ASGI one, so that bodies and event streams pass unbuffered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, status = _request_id(scope), 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request=request_id):
            try:
                await self._app(scope, _limited(scope, receive), answer)
            except Exception as error:
                log.error("unexpected", path=scope["path"], exc_info=error)
                if status:
                    raise  # too late for an answer: the connection is cut
                await _unexpected()(scope, receive, answer)
        route = getattr(scope.get("route"), "path", "none")
        REQUESTS.labels(scope["method"], route, status).inc()


def body_limit(path: str, settings: Settings) -> int:
    """How many bytes a request to this path may have."""
    model, dataset = settings.max_model_bytes, settings.max_dataset_bytes
    files = {"/v1/models": model, "/v1/datasets": dataset, "/v1/quantize": model + 2 * dataset}
    return files.get(path, 0) + DOCUMENT_BYTES


def _limited(scope: Scope, receive: Receive) -> Receive:
    """Messages as they come, until there are too many bytes or more are announced.

    The exception is FastAPI's own: it passes through its reading of bodies, any other would become a 400.
    """
    limit, seen = body_limit(scope["path"], scope["app"].state.context.settings), 0
    announced = Headers(scope=scope).get("content-length", "0")
    excess = HTTPException(413, f"the body is larger than {limit} bytes; accepted: up to {limit}")

    async def take() -> Message:
        nonlocal seen
        if announced.isdecimal() and int(announced[:19]) > limit:
            raise excess
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise excess
        return message

    return take


def _request_id(scope: Scope) -> str:
    """X-Request-ID as it was sent, or a new one."""
    sent = Headers(scope=scope).get("x-request-id", "")
    return sent if _REQUEST_ID.match(sent) else uuid.uuid4().hex


def _unexpected() -> ASGIApp:
    return respond(make_problem("internal", "The service failed", "the service's operator finds more in its log"))
