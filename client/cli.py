"""The `quantd` command: its subcommands, and exit codes for its errors."""

import sys

import typer
from typer.exceptions import TyperException

from client.commands import jobs, keys, maintenance
from client.commands.options import err_console
from client.commands.quantize import quantize
from client.commands.up import up
from client.errors import ClientError

app = typer.Typer(help="Post-training quantization of neural networks.", no_args_is_help=True, add_completion=False)
app.command()(up)
app.command()(quantize)
app.command()(jobs.report)
app.add_typer(jobs.app, name="jobs")
app.add_typer(keys.app, name="keys")
app.command()(maintenance.gc)
app.command()(maintenance.reindex)


def main() -> None:
    """Run the command; an error prints one line on standard error and sets its exit code."""
    try:
        sys.exit(app(standalone_mode=False) or 0)  # a subcommand's exit code is the returned value
    except typer.Abort:
        sys.exit(1)
    except ClientError as error:
        err_console.print(f"quantd: {error}", highlight=False, markup=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except TyperException as error:
        err_console.print(
            f"quantd: {str(error).rstrip('.')}; see `quantd --help`", highlight=False, markup=False, soft_wrap=True
        )
        sys.exit(ClientError.exit_code)
