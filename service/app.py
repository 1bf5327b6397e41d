"""The gateway: its routers, its errors and its edge put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from jobs.settings import Settings
from jobs.tracing import flush_traces
from service import artifacts, direct, health, jobs, pages, problems, quantize, resumable, uploads
from service.background import housekeeping
from service.context import make_context
from service.edge import Edge
from service.guard import Guard


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; without settings it can only tell its OpenAPI document."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.context = make_context(settings or Settings())
        async with housekeeping(app.state.context):
            yield
        await app.state.context.events.close()
        await run_in_threadpool(flush_traces)

    app = FastAPI(
        title="quantd",
        version="1",
        description="Post-training quantization of neural networks.",
        lifespan=lifespan,
        separate_input_output_schemas=False,
        telemetry={"operation_spans": False, "metrics": False, "logs": False},
    )
    for module in (uploads, resumable, direct, jobs, quantize, artifacts, health, pages):
        app.include_router(module.router)
    problems.install(app)
    app.add_middleware(Guard)
    app.add_middleware(Edge)  # the outermost: it counts what the guard refuses, too
    return app
