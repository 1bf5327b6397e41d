"""The gateway's FastAPI application: routers, error handlers and middleware."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import Depends, FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.types import Scope

import service.agents.endpoint
import service.artifacts.endpoints
import service.batches.endpoints
import service.capabilities
import service.comparison.endpoints
import service.health
import service.jobs.cancel_all
import service.jobs.endpoints
import service.pages.api_docs
import service.pages.assets
import service.pages.compare_page
import service.pages.job_page
import service.pages.jobs_page
import service.pages.new_job
import service.pages.share
import service.pages.sign_in
import service.plans.endpoints
import service.presigned.endpoints
import service.quantize.endpoints
import service.resumable.endpoints
import service.shares.endpoints
import service.uploads.endpoints
import service.usage.endpoints
import service.webhooks.description
from jobs.audit import AuditLog
from jobs.settings import Settings
from jobs.tracing import flush_traces
from service import problems
from service.api_description import CONTACT, DESCRIPTION, LICENSE, SERVERS, TAGS, describe, operation_id
from service.background import background_tasks
from service.context import make_context
from service.edge import Edge
from service.guard import Guard
from service.head import HeadRequests
from service.readiness import Readiness
from service.request_checks import check_content_type, check_query

API_ROUTERS = (
    service.uploads.endpoints.router,
    service.resumable.endpoints.router,
    service.presigned.endpoints.router,
    service.jobs.endpoints.router,
    service.jobs.cancel_all.router,
    service.batches.endpoints.router,
    service.quantize.endpoints.router,
    service.plans.endpoints.router,
    service.artifacts.endpoints.router,
    service.comparison.endpoints.router,
    service.shares.endpoints.router,
    service.usage.endpoints.router,
    service.capabilities.router,
)
PAGE_ROUTERS = (
    service.health.router,
    service.pages.assets.router,
    service.pages.api_docs.router,
    service.pages.jobs_page.router,
    service.pages.job_page.router,
    service.pages.compare_page.router,
    service.pages.new_job.router,
    service.pages.share.router,
    service.pages.sign_in.router,
)


def _is_secret(scope: Scope) -> bool:
    """Return True for a request whose path must not be in a trace."""
    return str(scope.get("path", "")).startswith(problems.SHARES)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application; without settings it reads them from the environment at its start."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        context = app.state.context = make_context(settings or Settings())
        app.state.audit = AuditLog(context.settings.audit_log)
        app.state.readiness = Readiness({"record store": context.records.ping, "object store": context.blobs.ping})
        async with background_tasks(context) as app.state.background:
            yield
        await app.state.context.events.close()
        app.state.audit.close()
        await run_in_threadpool(flush_traces)

    app = FastAPI(
        title="quantd",
        version="1",
        description=DESCRIPTION,
        servers=SERVERS,
        openapi_tags=TAGS,
        contact=CONTACT,
        license_info=LICENSE,
        generate_unique_id_function=operation_id,
        lifespan=lifespan,
        separate_input_output_schemas=False,
        docs_url=None,
        redoc_url=None,
        telemetry={"operation_spans": False, "metrics": False, "logs": False, "exclude": _is_secret},
    )
    for router in API_ROUTERS:
        app.include_router(router, dependencies=[Depends(check_query), Depends(check_content_type)])
    for router in PAGE_ROUTERS:
        app.include_router(router)
    app.router.routes.append(service.agents.endpoint.ROUTE)
    app.webhooks.include_router(service.webhooks.description.router)
    app.openapi = partial(describe, app, app.openapi)  # type: ignore[method-assign]
    problems.install(app)
    app.add_middleware(HeadRequests)
    app.add_middleware(Guard)
    app.add_middleware(Edge)  # the outermost: it also counts the requests that the guard refuses
    return app
