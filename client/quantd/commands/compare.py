"""`quantd compare`: two jobs side by side."""

import json
from typing import Annotated

import typer

from quantd.commands.options import AsJson, connect


def compare(
    job_a: Annotated[str, typer.Argument(metavar="A", help="Id of the first job.")],
    job_b: Annotated[str, typer.Argument(metavar="B", help="Id of the job that is compared with the first.")],
    as_json: AsJson = False,
) -> None:
    """Compare two jobs: figures, gates, layers and specs."""
    with connect() as client:
        comparison = client.compare(job_a, job_b)
    if as_json:
        typer.echo(json.dumps(comparison))
        return
    from quantd.comparison import comparison_rows
    from quantd.console import out_console
    from quantd.rows import print_rows

    print_rows(out_console, comparison_rows(comparison))
