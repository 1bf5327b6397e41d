"""Health checks and the metrics endpoint."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool

from jobs.errors import Unavailable
from jobs.workers import Worker
from service.context import Context, Ctx
from service.metrics import queue_registry
from service.problems import RESPONSES
from service.supervision import BackgroundTask

router = APIRouter(tags=["Service"], responses=RESPONSES)


class Health(BaseModel):
    """The state of the gateway."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    status: str = "ok"
    """Always `ok`."""


class ServiceHealth(Health):
    """The state of the service."""

    workers: list[Worker]
    """The running workers. Without workers, jobs wait."""
    background: list[BackgroundTask]
    """The background tasks of this gateway."""


@router.get("/livez", summary="Check that the gateway answers", response_description="The gateway answers.")
async def livez() -> Health:
    """Answer without a check of any other part of the service, and without a thread."""
    return Health()


@router.get(
    "/readyz",
    summary="Check that the service is ready",
    response_description="The record store and the object store take writes.",
)
async def readyz(request: Request) -> ServiceHealth:
    """Check that the record store and the object store take writes, and that the index of the records is complete.

    A 503 says what is wrong.
    The stores are asked at most once a second, and have two seconds to answer.
    """
    state = request.app.state
    if (fault := await state.readiness.fault()) is not None:
        raise Unavailable(fault)
    context: Context = state.context
    await run_in_threadpool(context.epochs.check)
    background = [task.state for task in state.background]
    return ServiceHealth(workers=await run_in_threadpool(context.workers.all), background=background)


@router.get("/metrics", response_class=Response, summary="Get Prometheus metrics", response_description="The metrics.")
def get_metrics(context: Ctx) -> Response:
    """Return this gateway's counters and the current length of the queue in Prometheus' text format."""
    text = generate_latest() + generate_latest(queue_registry(context.records))
    return Response(text, media_type=CONTENT_TYPE_LATEST)
