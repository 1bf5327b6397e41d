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
    first_key: Annotated[
        bool, typer.Option("--first-key", help="If keys are required and there is none, create one and print it.")
    ] = False,
) -> None:
    """Run the service on this machine until Ctrl-C or SIGTERM."""
    require_server("quantd up", "up")
    from jobs.settings import Settings
    from jobs.stack import Stack, StackFailed

    try:
        with Stack(state_dir, host, port, workers) as stack:
            typer.echo(f"quantd is ready at {stack.url} (state in {state_dir}, Ctrl-C stops it)")
            if Settings().auth == "required":
                typer.echo((first_key and _first_key(state_dir)) or _how_to_create_a_key(state_dir))
            stack.wait()
    except Interrupted:
        return
    except (StackFailed, OSError) as error:
        raise Unreachable(str(error)) from None


def _how_to_create_a_key(state_dir: Path) -> str:
    return f"callers need API keys: quantd keys create --state-dir {quote(str(state_dir))}"


def _first_key(state_dir: Path) -> str | None:
    """Create a key of the tenant `default` and return how to use it; None if there are keys."""
    from jobs.keys import Allowance, Scope
    from quantd.admin import administered_keys

    with administered_keys(state_dir) as keys:
        if keys.list():
            return None
        _, text = keys.create("default", "first", tuple(Scope), Allowance())
    return f"the first API key, which is not shown again: export QUANTD_API_KEY={text}"
