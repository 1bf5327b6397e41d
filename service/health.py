"""Health, metrics and what this version can do."""

from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from jobs.errors import Unavailable
from jobs.workers import Worker
from quant.spec import capabilities
from service.context import Context, Ctx
from service.metrics import queue_registry
from service.problems import RESPONSES

LIMITS = {"max_model_bytes", "max_dataset_bytes", "job_timeout_s", "job_memory_bytes"}
VERSIONS = ("quantd", "numpy", "scipy", "onnx", "onnx-ir", "onnxruntime")
"""Read from what is installed: the gateway imports none of them but NumPy."""

router = APIRouter(responses=RESPONSES)


class Health(BaseModel):
    status: str = "ok"


class Readiness(Health):
    """`workers` are those that are up; with none, jobs wait. Their isolation is what uploaded bytes are kept from."""

    workers: list[Worker]


@router.get("/livez")
def livez() -> Health:
    """The gateway answers; nothing else is looked at."""
    return Health()


@router.get("/readyz")
def readyz(request: Request) -> Readiness:
    """The record store and the object store answer; a 503 names the part that does not."""
    context: Context = request.app.state.context
    for name, part in (("record store", context.records), ("object store", context.blobs)):
        try:
            part.ping()
        except Exception as error:  # noqa: BLE001 - whatever a part raises, it is not ready
            raise Unavailable(f"the {name} does not answer: {type(error).__name__}") from None
    return Readiness(workers=context.workers.all())


@router.get("/metrics", response_class=Response)
def metrics(context: Ctx) -> Response:
    """Prometheus' text: what this gateway counted, and the queue as it is now."""
    counted = generate_latest() + generate_latest(queue_registry(context.records))
    return Response(counted, media_type=CONTENT_TYPE_LATEST)


@router.get("/v1/capabilities")
def get_capabilities(context: Ctx) -> dict[str, Any]:
    """Bits, grids, clip methods, distributions, presets, limits and versions, with the spec's JSON Schema."""
    limits = context.settings.model_dump(include=LIMITS)
    return {**capabilities(), "limits": limits, "versions": {name: version(name) for name in VERSIONS}}
