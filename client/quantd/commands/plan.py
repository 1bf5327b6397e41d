"""`quantd plan`: what a job would do, without data, by the service or on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from quantd.commands.options import AsJson, Model, Preset, SpecFile
from quantd.server import require_server


def plan(
    model: Model,
    spec: SpecFile = None,
    preset: Preset = None,
    write_spec: Annotated[Path | None, typer.Option(help="File for the spec with all its options, to edit.")] = None,
    local: Annotated[bool, typer.Option("--local", help="Plan on this machine, without a service.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a job would do: layers and kernels, size and error by preset; no data is needed.

    Exit status: 0 success, 1 the model cannot be planned, 3 bad usage or spec, 4 no service.
    """
    if local:
        require_server("--local", "worker")
    from quantd.planning import plan as run
    from quantd.spec import read_spec

    run(model, read_spec(spec, preset), write_spec, local=local, quiet=as_json)
