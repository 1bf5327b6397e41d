"""`quantd report`: the report of a job, printed or written to a file."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantd.commands.options import AsJson, JobId, connect, page_address

if TYPE_CHECKING:
    from quantd.job import Job


def report(
    job_id: JobId,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File to write: .html, .json, .md, .csv or .xml (JUnit).")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the summary for a pull request.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the report of a job, or write it to a file."""
    with connect() as client:
        job = client.job(job_id)
        if output is not None:
            from quantd.fetching import fetch_outputs
            from quantd.outputs import Outputs

            outputs = Outputs.of_report(output)
            outputs.check()
            fetch_outputs(job.require_success(), outputs)
        elif markdown:
            _print_markdown(job)
        elif as_json:
            typer.echo(json.dumps(job.report().document))
        else:
            _print(job.require_success())


def _print_markdown(job: "Job") -> None:
    """Print the summary for a pull request, without characters that could change a terminal."""
    from quantd import artifacts
    from quantd.text import printable

    text = job.read(artifacts.REPORT_MARKDOWN).decode()
    typer.echo("\n".join(printable(line) for line in text.splitlines()))


def _print(job: "Job") -> None:
    """Print the whole report: the result, and every layer, skipped node and warning."""
    from quantd.console import out_console
    from quantd.results import full_report_rows, result_rows
    from quantd.rows import Row, print_rows

    address = [Row("job", job.id), Row("report", page_address(job.id))]
    print_rows(out_console, [*address, *result_rows(job.document), *full_report_rows(job.report().document)])
