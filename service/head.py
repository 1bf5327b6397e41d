"""HEAD for every path that has a GET: the same answer without its body (RFC 9110, section 9.3.2)."""

import asyncio

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadRequests:
    """ASGI middleware that answers a HEAD with what its GET would answer, as far as the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or _has_own_head(scope):
            await self._app(scope, receive, send)
            return
        begun = asyncio.Event()

        async def send_without_body(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                begun.set()

        async def receive_until_begun() -> Message:
            """Return a disconnect once the answer has begun, which ends the stream of a long body."""
            await begun.wait()
            return {"type": "http.disconnect"}

        request = {**scope, "method": "GET"}
        await self._app(request, receive_until_begun, send_without_body)
        scope["route"] = request.get("route")  # for the metrics


def _has_own_head(scope: Scope) -> bool:
    routes: list[BaseRoute] = scope["app"].routes
    return any(route.matches(scope)[0] == Match.FULL for route in routes)
