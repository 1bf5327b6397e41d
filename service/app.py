"""The gateway: its routers, and what every request passes through."""

import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response

from jobs.settings import Settings
from service import artifacts, health, jobs, pages, problems, uploads
from service.context import make_context

_REQUEST_ID = re.compile(r"^[\w.:-]{1,128}$")


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; without settings it can only tell its OpenAPI document."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.context = make_context(settings or Settings())
        yield
        await app.state.context.events.close()

    app = FastAPI(
        title="quantd",
        version="1",
        description="Post-training quantization of neural networks.",
        lifespan=lifespan,
        separate_input_output_schemas=False,
    )
    for module in (uploads, jobs, artifacts, health, pages):
        app.include_router(module.router)
    problems.install(app)
    app.middleware("http")(_request_id)
    return app


async def _request_id(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """X-Request-ID is returned as it came, or made."""
    sent = request.headers.get("x-request-id", "")
    response = await call_next(request)
    response.headers["X-Request-ID"] = sent if _REQUEST_ID.match(sent) else uuid.uuid4().hex
    return response
