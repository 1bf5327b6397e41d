"""`quantd jobs` and `quantd report`: list, show, watch, cancel and remove jobs, print a report."""

import json
from typing import Annotated

import typer

from client.commands.options import AsJson, JobId, connect, err_console, out_console
from client.progress import show_progress
from client.tables import jobs_table, latency_table, layer_table, summary_table

app = typer.Typer(help="List, show, watch, cancel and remove jobs.", no_args_is_help=True)


def report(job_id: JobId, as_json: AsJson = False) -> None:
    """Print the report of a job."""
    with connect() as client:
        document = client.report(job_id)
    if as_json:
        typer.echo(json.dumps(document))
    else:
        out_console.print(layer_table(document, job_id), summary_table({job_id: document["summary"]}))
        if document["latency"]:
            out_console.print(latency_table(document["latency"]))


@app.command("list")
def list_jobs(
    limit: Annotated[int, typer.Option(min=1, max=100, help="Largest number of jobs to list.")] = 20,
    status: Annotated[str | None, typer.Option(help="Only jobs with this status.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the newest jobs."""
    with connect() as client:
        jobs = client.jobs(limit, status)
    if as_json:
        typer.echo(json.dumps(jobs))
    else:
        out_console.print(jobs_table(jobs))


@app.command()
def show(job_id: JobId) -> None:
    """Print a job as JSON."""
    with connect() as client:
        typer.echo(json.dumps(client.job(job_id), indent=1))


@app.command()
def watch(job_id: JobId) -> None:
    """Show a job's progress until it ends."""
    with connect() as client:
        show_progress(err_console, client.follow(job_id))
        typer.echo(client.succeeded(client.wait(job_id))["status"])


@app.command()
def cancel(job_id: JobId) -> None:
    """Cancel a job."""
    with connect() as client:
        typer.echo(client.cancel(job_id)["status"])


@app.command()
def rm(job_id: JobId) -> None:
    """Remove an ended job and its artifacts."""
    with connect() as client:
        client.delete(job_id)
