"""Options, consoles and the connection that the commands share."""

import os
from typing import Annotated

import typer
from rich.console import Console

from client.api import Client

DEFAULT_URL = "http://127.0.0.1:8000"
out_console = Console()
err_console = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
JobId = Annotated[str, typer.Argument(help="Id of the job.")]


def connect() -> Client:
    """Return a client of the service at QUANTD_URL with the key QUANTD_API_KEY."""
    return Client(os.environ.get("QUANTD_URL", DEFAULT_URL), os.environ.get("QUANTD_API_KEY"))
