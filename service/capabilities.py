"""The endpoint that describes the spec, the limits and the versions of this service."""

from importlib.metadata import version
from typing import Any

from fastapi import APIRouter

from quant.spec import capabilities
from service.context import Ctx
from service.problems import RESPONSES

LIMITS = {"max_model_bytes", "max_dataset_bytes", "job_timeout_s", "job_memory_bytes"}
VERSIONS = ("quantd", "numpy", "scipy", "onnx", "onnx-ir", "onnxruntime")
"""Packages whose installed version is shown; the gateway imports none of them but NumPy."""

router = APIRouter(prefix="/v1", tags=["Service"], responses=RESPONSES)


@router.get("/capabilities", summary="Describe this service", response_description="The capabilities of this service.")
def get_capabilities(context: Ctx) -> dict[str, Any]:
    """List bits, grids, clipping methods, distributions, presets, limits and versions, with the spec's JSON Schema."""
    limits = context.settings.model_dump(include=LIMITS)
    return {**capabilities(), "limits": limits, "versions": {name: version(name) for name in VERSIONS}}
