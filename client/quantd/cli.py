"""The `quantd` command: its subcommands, and exit codes for its errors."""

import json
import sys
from typing import Annotated

import typer
from typer.exceptions import TyperException

from quantd.commands import jobs, keys, maintenance
from quantd.commands.batch import batch
from quantd.commands.compare import compare
from quantd.commands.group import LightGroup
from quantd.commands.inspect import inspect
from quantd.commands.plan import plan
from quantd.commands.quantize import quantize
from quantd.commands.report import report
from quantd.commands.up import up
from quantd.errors import ClientError, Interrupted
from quantd.signals import interruptible
from quantd.text import printable

app = typer.Typer(
    cls=LightGroup,
    help="Post-training quantization of neural networks.",
    rich_markup_mode=None,  # rich would take half the time of `quantd --help`
    pretty_exceptions_enable=False,
)
app.command()(up)
app.command()(quantize)
app.command()(batch)
app.command()(plan)
app.command()(inspect)
app.command()(report)
app.command()(compare)
app.add_typer(jobs.app, name="jobs")
app.add_typer(keys.app, name="keys")
app.command()(maintenance.gc)
app.command()(maintenance.reindex)
app.command()(maintenance.usage)


def _print_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        typer.echo(f"quantd {version('quantd')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Accept the options that precede a subcommand; without one, print the help text."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command; an error prints one line on standard error, or JSON, and sets its exit code."""
    with interruptible():
        code = _exit_code()
    sys.exit(code)


def _exit_code() -> int:
    """Run the command and return its exit code."""
    try:
        return app(standalone_mode=False) or 0  # a subcommand's exit code is the returned value
    except typer.Abort:
        return 1
    except (ClientError, Interrupted) as error:
        _print_error(error)
        return error.exit_code
    except TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "quantd"
        usage = ClientError(f"{error.format_message().rstrip('.')}; see `{command} --help`")
        _print_error(usage)
        return usage.exit_code
    except OSError as error:  # a full disk, or a file that disappeared
        failure = ClientError(f"{error.filename or 'input or output'}: {error.strerror}")
        _print_error(failure)
        return failure.exit_code


def _print_error(error: ClientError | Interrupted) -> None:
    """Print an error: as JSON on standard output where the command line asks for JSON, else as one line."""
    if "--json" in sys.argv[1:]:
        typer.echo(json.dumps(error.document()))
    else:
        typer.echo(f"quantd: {printable(str(error))}", err=True)
