"""`quantd inspect`: what a model file holds, and what quantd could quantize of it, without a service."""

from pathlib import Path
from typing import Annotated

import typer

from quantd.commands.options import AsJson, Model
from quantd.server import require_server


def inspect(
    model: Model,
    spec: Annotated[
        Path | None, typer.Option(help="Spec that declares the inputs of a TorchScript module, in YAML or JSON.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a model file holds, and which layers can be quantized; no service is needed.

    Exit status: 0 success, also for a model that cannot be quantized; 1 the file cannot be read; 3 bad usage.
    """
    require_server("quantd inspect", "worker")
    from quantd.planning import inspect as run
    from quantd.spec import read_spec

    run(model, read_spec(spec, None), quiet=as_json)
