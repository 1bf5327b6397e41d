"""`quantd jobs`: list, show, watch, download, cancel and remove jobs."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from quantd.commands.group import LightGroup
from quantd.commands.options import AsJson, JobId, connect, page_address
from quantd.errors import GATE_FAILED, Interrupted

app = typer.Typer(cls=LightGroup, help="List, show, watch, download, cancel and remove jobs.")

Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]


@app.command("list")
def list_jobs(
    limit: Annotated[int, typer.Option(min=1, max=100, help="Largest number of jobs to list.")] = 20,
    status: Annotated[Status | None, typer.Option(help="Only jobs with this status.")] = None,
    verdict: Annotated[
        Literal["pass", "fail"] | None, typer.Option(help="Only jobs whose gates have this result.")
    ] = None,
    tag: Annotated[str | None, typer.Option(metavar="KEY=VALUE", help="Only jobs with this tag.")] = None,
    name: Annotated[str | None, typer.Option(help="Only jobs whose model's file name contains this text.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the newest jobs."""
    from quantd.tags import parse_tag

    with connect() as client:
        tag = tag and ":".join(parse_tag("--tag", tag))
        listed = client.jobs(limit, status=status, verdict=verdict, tag=tag, name=name)
    jobs = [job.document for job in listed]
    if as_json:
        typer.echo(json.dumps(jobs))
        return
    from quantd.tables import job_lines

    typer.echo("\n".join(job_lines(jobs)))


@app.command()
def show(job_id: JobId, as_json: AsJson = False) -> None:
    """Show a job: its state, gates and figures."""
    with connect() as client:
        job = client.job(job_id).document
    if as_json:
        typer.echo(json.dumps(job, indent=1))
        return
    from quantd.console import out_console
    from quantd.results import job_rows, result_rows
    from quantd.rows import print_rows

    result = result_rows(job) if job["summary"] else ()
    print_rows(out_console, [*job_rows(job, page_address(job_id)), *result])


@app.command()
def watch(job_id: JobId, as_json: AsJson = False) -> int:
    """Show a job's progress until it ends, and then its result. Ctrl-C leaves the job running.

    Exit status: 0 success, 1 the job failed, 2 a gate failed, 4 no service.
    """
    from quantd.console import out_console
    from quantd.following import watch_to_end
    from quantd.results import result_rows
    from quantd.rows import Row, print_rows

    with connect() as client:
        job = client.job(job_id)  # one that does not exist is an error at once
        try:
            if not as_json:
                print_rows(out_console, [Row("job", job_id), Row("report", page_address(job_id))])
            watch_to_end(job, quiet=as_json).require_success()
        except Interrupted as interruption:
            raise Interrupted(interruption.signal_number, f"interrupted: job {job_id} goes on", job_id) from None
    if as_json:
        typer.echo(json.dumps(job.document))
    else:
        print_rows(out_console, result_rows(job.document))
    return GATE_FAILED if job.verdict == "fail" else 0


@app.command()
def download(
    job_id: JobId,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="File to write; a large model has its weights beside it.")
    ],
    artifact: Annotated[str, typer.Argument(help="Name of the artifact.")] = "model.onnx",
) -> None:
    """Write the quantized model of a job, or another of its artifacts, to a file."""
    from quantd.fetching import fetch_outputs
    from quantd.outputs import Outputs

    outputs = Outputs(model=output)
    outputs.check()
    with connect() as client:
        job = client.job(job_id).require_success()
        if artifact == "model.onnx":
            fetch_outputs(job, outputs)
        else:
            job.download(output, artifact)


@app.command()
def cancel(job_id: JobId) -> None:
    """Cancel a job."""
    with connect() as client:
        typer.echo(client.job(job_id).cancel().status)


@app.command()
def rm(job_id: JobId) -> None:
    """Remove an ended job and its artifacts."""
    with connect() as client:
        client.job(job_id).delete()
