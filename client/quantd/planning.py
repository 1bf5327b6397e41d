"""The work of `quantd plan` and `quantd inspect`: run the task and print its answer.

The model is parsed by the service, or on this machine in a process of its own.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from quantd.answers import Document
from quantd.commands.options import connect
from quantd.console import err_console, out_console
from quantd.local import LocalJob
from quantd.outputs import check_readable, check_writable
from quantd.plan_rows import inspection_rows, plan_rows
from quantd.progress import UploadProgress
from quantd.rows import print_rows
from quantd.spec import check_valid


def plan(model: Path, spec: Mapping[str, Any], write_spec: Path | None, *, local: bool, quiet: bool) -> None:
    """Plan a job and print the plan.

    Args:
        model: the model's file.
        spec: the quantization spec.
        write_spec: the file for the editable spec; None for no file.
        local: True to plan on this machine, without a service.
        quiet: True to print the plan as JSON.

    Raises:
        ClientError: the model cannot be read or planned, the spec is not valid, or its file cannot be written.
        Unreachable: no service answers.
    """
    check_readable("MODEL", model)
    if write_spec is not None:
        check_writable("--write-spec", write_spec)
    check_valid(spec)
    if local:
        document = _run_locally("plan", "plan.json", model, spec, quiet=quiet)
    else:
        document = _run_remotely(model, spec, quiet=quiet)
    if write_spec is not None:
        write_spec.write_text(document["spec_yaml"])
    if quiet:
        typer.echo(json.dumps(document))
    else:
        print_rows(out_console, plan_rows(document))


def inspect(model: Path, spec: Mapping[str, Any], *, quiet: bool) -> None:
    """Inspect a model on this machine and print what it holds.

    Args:
        model: the model's file.
        spec: a spec, of which the inputs of a TorchScript module are used.
        quiet: True to print the inspection as JSON.

    Raises:
        ClientError: the file cannot be read as a model.
    """
    check_readable("MODEL", model)
    document = _run_locally("inspect", "inspection.json", model, spec, quiet=quiet)
    if quiet:
        typer.echo(json.dumps(document))
    else:
        print_rows(out_console, inspection_rows(document))


def _run_locally(task: str, file: str, model: Path, spec: Mapping[str, Any], *, quiet: bool) -> Document:
    """Run a task in a process of its own and return the document that it wrote."""
    with tempfile.TemporaryDirectory(prefix="quantd-") as folder:
        job = LocalJob(model, spec, None, None, Path(folder), task)
        job.run(quiet=quiet)
        document: Document = json.loads((Path(folder) / file).read_bytes())
        return document


def _run_remotely(model: Path, spec: Mapping[str, Any], *, quiet: bool) -> Document:
    """Upload the model, let the service plan and return the plan."""
    with connect() as client:
        with UploadProgress(err_console, quiet) as progress:
            uploaded = client.upload(model, progress.of(model.name))
        return client.plan(uploaded, spec)
