"""`quantd up`: the embedded service on this machine."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from quantd.errors import Interrupted, Unreachable
from quantd.server import require_server


def up(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 picks a free one.")] = 8000,
    state_dir: Annotated[Path, typer.Option(help="Folder for records and blobs.")] = Path(".quantd"),
    workers: Annotated[int, typer.Option(min=1, help="Number of jobs that run at a time.")] = 1,
) -> None:
    """Run the service on this machine until Ctrl-C or SIGTERM."""
    require_server("quantd up")
    from jobs.settings import Settings
    from jobs.stack import Stack, StackFailed

    try:
        with Stack(state_dir, host, port, workers) as stack:
            typer.echo(f"quantd is ready at {stack.url} (state in {state_dir}, Ctrl-C stops it)")
            if Settings().auth == "required":
                typer.echo(f"callers need API keys: quantd keys create --state-dir {quote(str(state_dir))}")
            stack.wait()
    except Interrupted:
        return
    except (StackFailed, OSError) as error:
        raise Unreachable(str(error)) from None
