"""The client of quantd, a service that quantizes neural networks.

    import quantd

    with quantd.Client("http://127.0.0.1:8000") as client:
        model = client.upload("model.onnx")
        job = client.quantize(model, {"preset": "int8-weights"}).wait()
        job.download("model-int8.onnx")

`AsyncClient` is the same for an event loop.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    """The version of this distribution."""

    from quantd.aio import AsyncClient
    from quantd.api import Client
    from quantd.batch import AsyncBatch, Batch
    from quantd.errors import ClientError, JobFailed, Unreachable
    from quantd.job import AsyncJob, Job
    from quantd.models import Artifact, Dataset, Gate, Layer, Model, Problem, Report, Summary

__all__ = [
    "Artifact",
    "AsyncBatch",
    "AsyncClient",
    "AsyncJob",
    "Batch",
    "Client",
    "ClientError",
    "Dataset",
    "Gate",
    "Job",
    "JobFailed",
    "Layer",
    "Model",
    "Problem",
    "Report",
    "Summary",
    "Unreachable",
]

_MODULES = {
    "AsyncClient": "quantd.aio",
    "Client": "quantd.api",
    **dict.fromkeys(("ClientError", "JobFailed", "Unreachable"), "quantd.errors"),
    **dict.fromkeys(("AsyncBatch", "Batch"), "quantd.batch"),
    **dict.fromkeys(("AsyncJob", "Job"), "quantd.job"),
    **dict.fromkeys(("Artifact", "Dataset", "Gate", "Layer", "Model", "Problem", "Report", "Summary"), "quantd.models"),
}
"""The module of each public name; they are loaded when they are used, so that `quantd --help` is fast."""


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    if name == "__version__":
        return import_module("importlib.metadata").version("quantd")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
