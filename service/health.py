"""Health checks and the metrics endpoint."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict

from jobs.errors import Unavailable
from jobs.workers import Worker
from service.context import Context, Ctx
from service.metrics import queue_registry
from service.problems import RESPONSES

router = APIRouter(tags=["Service"], responses=RESPONSES)


class Health(BaseModel):
    """The state of the gateway."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    status: str = "ok"
    """Always `ok`."""


class Readiness(Health):
    """The state of the service."""

    workers: list[Worker]
    """The running workers. Without workers, jobs wait."""


@router.get("/livez", summary="Check that the gateway answers", response_description="The gateway answers.")
def livez() -> Health:
    """Answer without a check of any other part of the service."""
    return Health()


@router.get(
    "/readyz",
    summary="Check that the service is ready",
    response_description="The record store and the object store answer.",
)
def readyz(request: Request) -> Readiness:
    """Check the record store and the object store; a 503 names the one that does not answer."""
    context: Context = request.app.state.context
    for name, store in (("record store", context.records), ("object store", context.blobs)):
        try:
            store.ping()
        except Exception as error:  # noqa: BLE001 - whatever a store raises, it is not ready
            raise Unavailable(f"the {name} does not answer: {type(error).__name__}") from None
    return Readiness(workers=context.workers.all())


@router.get("/metrics", response_class=Response, summary="Get Prometheus metrics", response_description="The metrics.")
def metrics(context: Ctx) -> Response:
    """Return this gateway's counters and the current length of the queue in Prometheus' text format."""
    text = generate_latest() + generate_latest(queue_registry(context.records))
    return Response(text, media_type=CONTENT_TYPE_LATEST)
