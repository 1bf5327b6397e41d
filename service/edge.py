"""What every request passes through: its id, the size of its body, its count, and the answer where nobody has one."""

import re
import time
import uuid
from dataclasses import dataclass

import structlog
from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs.http_status import make_problem
from jobs.settings import Settings
from service.metrics import RECEIVED, REQUESTS, SECONDS, SENT
from service.problems import respond

DOCUMENT_BYTES = 1 << 20
"""The largest JSON body, and what a form may have around its files."""
METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
QUIET = frozenset({"/livez", "/readyz", "/metrics"})
"""Asked for every few seconds by machines: counted, and not told of in the log."""
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
        seen = _Seen(scope, _request_id(scope), time.monotonic())
        scope.setdefault("state", {})["request_id"] = seen.request_id
        with structlog.contextvars.bound_contextvars(request=seen.request_id):
            try:
                await self._answered(scope, _limited(scope, seen.receiving(receive)), seen.sending(send), seen)
            finally:
                seen.tell()

    async def _answered(self, scope: Scope, receive: Receive, send: Send, seen: "_Seen") -> None:
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            log.error("unexpected", path=scope["path"], exc_info=error)
            if seen.status:
                raise  # too late for an answer: the connection is cut
            await _unexpected()(scope, receive, send)


@dataclass
class _Seen:
    """One request on its way: what comes and goes is counted, and told at its end."""

    scope: Scope
    request_id: str
    began: float
    status: int = 0
    received: int = 0
    sent: int = 0

    def receiving(self, receive: Receive) -> Receive:
        async def take() -> Message:
            message = await receive()
            self.received += len(message.get("body", b""))
            return message

        return take

    def sending(self, send: Send) -> Send:
        async def give(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = self.request_id
            self.sent += len(message.get("body", b""))
            await send(message)

        return give

    def tell(self) -> None:
        """To the metrics and the log; FastAPI itself tells the trace."""
        method, seconds = self.scope["method"], time.monotonic() - self.began
        method = method if method in METHODS else "other"  # anybody can make names up, and each would be a series
        route = getattr(self.scope.get("route"), "path", "none")
        REQUESTS.labels(method, route, self.status).inc()
        SECONDS.labels(method, route).observe(seconds)
        RECEIVED.labels(route).inc(self.received)
        SENT.labels(route).inc(self.sent)
        caller = self.scope["state"].get("caller")
        if route not in QUIET:
            log.info(
                "request", method=method, route=route, status=self.status, seconds=round(seconds, 4),
                tenant=caller.tenant if caller else None, key=caller.key_id if caller else None,
            )  # fmt: skip


def body_limit(path: str, settings: Settings) -> int:
    """How many bytes a request to this path may have."""
    model, dataset = settings.max_model_bytes, settings.max_dataset_bytes
    files = {"/v1/models": model, "/v1/datasets": dataset, "/v1/quantize": model + 2 * dataset}
    part = max(model, dataset) if path.startswith("/v1/uploads/") else 0
    return files.get(path, part) + DOCUMENT_BYTES


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
