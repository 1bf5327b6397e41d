"""The outermost middleware: request id, body size limit, metrics, log line, and a problem for unexpected errors."""

import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog
from fastapi import HTTPException
from fastapi.routing import APIRoute
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs.errors import UnsupportedMediaType
from jobs.http_status import make_problem, problem_of
from jobs.settings import Settings
from service.api_description import operation_id
from service.browser import READING
from service.context import Caller
from service.metrics import RECEIVED, REQUESTS, SECONDS, SENT
from service.problems import answer_problem, logged_path

DOCUMENT_BYTES = 1 << 20
"""The size limit of a JSON body, and of what a form may hold besides its files."""
METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
QUIET = frozenset({"/livez", "/readyz", "/metrics"})
"""Paths that machines request every few seconds: they are counted, but not logged."""
SAFE_POLICY = "default-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox"
"""The Content-Security-Policy of every response without one of its own: a browser that shows it runs nothing in it."""
_ID = re.compile(r"\b(?:job|plan|batch|model|dataset|upload)_[0-9a-f]{32}\b")
"""The ids of what a request creates, in the header `Location` of its answer."""
_REQUEST_ID = re.compile(r"^[\w.:-]{1,128}$")

log = structlog.get_logger()


class Edge:
    """ASGI middleware around the whole application; bodies and event streams pass through it unbuffered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, _request_id(scope), time.monotonic())
        scope.setdefault("state", {})["request_id"] = exchange.request_id
        with structlog.contextvars.bound_contextvars(request=exchange.request_id):
            try:
                limited = _limited(scope, exchange.counting_receive(receive))
                await self._answer(scope, limited, exchange.counting_send(send), exchange)
            finally:
                exchange.report()

    async def _answer(self, scope: Scope, receive: Receive, send: Send, exchange: "_Exchange") -> None:
        """Run the application; answer an unexpected exception, and a body in a content encoding, with a problem."""
        encoding = Headers(scope=scope).get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", ""):
            detail = f"the body has the content encoding {encoding[:40]!r}; accepted: a body as it is, without one"
            await answer_problem(Request(scope), problem_of(UnsupportedMediaType(detail)))(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            log.error("unexpected", path=logged_path(scope["path"]), exc_info=error)
            if exchange.status:
                raise  # the answer has begun: all that is left is to cut the connection
            await _unexpected(scope)(scope, receive, send)


@dataclass
class _Exchange:
    """A request and its response, with their bytes counted."""

    scope: Scope
    request_id: str
    began: float
    status: int = 0
    received: int = 0
    sent: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)

    def counting_receive(self, receive: Receive) -> Receive:
        """Return `receive` with the request's bytes counted."""

        async def counted() -> Message:
            message = await receive()
            self.received += len(message.get("body", b""))
            return message

        return counted

    def counting_send(self, send: Send) -> Send:
        """Return `send` with the response's bytes counted, and the headers added that every response has."""

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = self.request_id
                headers.setdefault("Content-Security-Policy", SAFE_POLICY)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                self.headers = headers
            self.sent += len(message.get("body", b""))
            await send(message)

        return counted

    def report(self) -> None:
        """Report the exchange to the metrics and the log; FastAPI itself reports the trace."""
        method, seconds = self.scope["method"], time.monotonic() - self.began
        method = method if method in METHODS else "other"  # callers can invent methods: each would be a time series
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
        if method not in READING and not self.scope["state"].get("reads_only"):
            self._audit(caller)

    def _audit(self, caller: Caller | None) -> None:
        """Write the line of a request that may have changed something to the audit log."""
        scope, state, route = self.scope, self.scope["state"], self.scope.get("route")
        status = state.get("status", self.status)  # that of a tool for agents, which fails in an answer of 200
        created = _ID.findall(self.headers.get("location", ""))
        named = [str(value) for value in scope.get("path_params", {}).values()]
        scope["app"].state.audit.write(
            tenant=caller.tenant if caller else None, key=caller.key_id or None if caller else None,
            action=operation_id(route) if isinstance(route, APIRoute) else state.get("tool"),
            ids=list(dict.fromkeys([*named, *created, *state.get("affected", ())])), method=scope["method"],
            path=logged_path(scope["path"]), status=status, outcome=_outcome(status),
            request=self.request_id, address=scope["client"][0] if scope.get("client") else None,
        )  # fmt: skip


def body_limit(path: str, settings: Settings) -> int:
    """Return the largest number of bytes that a request to this path may have."""
    model, dataset = settings.max_model_bytes, settings.max_dataset_bytes
    files = {"/v1/models": model, "/v1/datasets": dataset, "/v1/quantize": model + 2 * dataset}
    part = max(model, dataset) if path.startswith("/v1/uploads/") else 0
    return files.get(path, part) + DOCUMENT_BYTES


def _limited(scope: Scope, receive: Receive) -> Receive:
    """Return `receive` that raises a 413 as soon as too many bytes are announced or have arrived.

    The exception is FastAPI's own class, because it turns any other one from reading a body into a 400.
    """
    limit, received = body_limit(scope["path"], scope["app"].state.context.settings), 0
    announced = Headers(scope=scope).get("content-length", "0")
    excess = HTTPException(413, f"the body is larger than {limit} bytes; accepted: up to {limit}")

    async def checked() -> Message:
        nonlocal received
        if announced.isdecimal() and int(announced[:19]) > limit:
            raise excess
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise excess
        return message

    return checked


def _request_id(scope: Scope) -> str:
    """Return the X-Request-ID that was sent, or a new one."""
    sent = Headers(scope=scope).get("x-request-id", "")
    return sent if _REQUEST_ID.match(sent) else uuid.uuid4().hex


def _outcome(status: int) -> str:
    """Return the outcome of a request; one that was cut has the status 0."""
    return "failed" if status >= 500 or not status else "refused" if status >= 400 else "done"


def _unexpected(scope: Scope) -> ASGIApp:
    detail = "an unexpected error occurred; the service's log has it"
    return answer_problem(Request(scope), make_problem("internal", "Internal error", detail))
