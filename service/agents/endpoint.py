"""The path at which agents reach the service by MCP over streamable HTTP.

Requests share nothing: no session, no stream. So any gateway behind a balancer answers any of them. The package `mcp`
is loaded with the first request, since it takes half a second of processor time and 22 MB that most gateways never
need.
"""

import asyncio
from importlib import import_module
from importlib.util import find_spec

from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from jobs.errors import NotFound

AGENTS_PATH = "/mcp"


class AgentEndpoint:
    """ASGI application that answers the messages of agents, or says which extra it lacks."""

    def __init__(self) -> None:
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one message.

        Raises:
            NotFound: the package `mcp` is not installed.
        """
        scope["route"] = ROUTE  # for the metrics
        if find_spec("mcp") is None:
            raise NotFound(
                "this gateway has no tools for agents, since the package `mcp` is not installed; "
                "accepted: a gateway with the extra `agents`, `pip install 'quantd-server[agents]'`"
            )
        if self._app is None:
            self._app = (await asyncio.to_thread(import_module, "service.agents.server")).answer_message
        await self._app(scope, receive, send)


ROUTE = Route(AGENTS_PATH, AgentEndpoint(), methods=["POST"])
