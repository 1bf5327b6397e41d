"""Options and the connection that the commands share."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from quantd.api import Client

DEFAULT_URL = "http://127.0.0.1:8000"

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, also for an error.")]
Model = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Model: .onnx, a zip or tar with external data, or TorchScript .pt.")
]
SpecFile = Annotated[Path | None, typer.Option("--spec", help="Quantization spec in YAML or JSON.")]
PRESET_NAMES = "int8, int8-weights, small, smaller, smallest, auto, int4, int4-weights, codebook4, ternary or fp16."
Preset = Annotated[str | None, typer.Option(help=PRESET_NAMES)]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="Id of the job.")]
StateDir = Annotated[
    Path, typer.Option(help="State folder of the embedded service; ignored if QUANTD_REDIS_URL is set.")
]


def service_url() -> str:
    """Return the address of the service: QUANTD_URL, or that of the embedded service."""
    return (os.environ.get("QUANTD_URL") or DEFAULT_URL).rstrip("/")


def page_address(job_id: str) -> str:
    """Return the address of a job's page."""
    return f"{service_url()}/jobs/{job_id}"


def connect() -> "Client":
    """Return a client of the service at QUANTD_URL with the key QUANTD_API_KEY."""
    from quantd.api import Client

    return Client(service_url(), os.environ.get("QUANTD_API_KEY"))
