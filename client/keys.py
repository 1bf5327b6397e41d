"""`quantd keys`: make, list and revoke API keys, beside the records and not over HTTP."""

import json
import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from client.admin import StateDir, administered
from client.errors import ClientError
from jobs.blobs import Blobs
from jobs.errors import NotFound
from jobs.keys import TENANT_PATTERN, Allowance, Key, Keys, Scope
from jobs.settings import Settings

app = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)
console = Console()

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@app.command()
def create(
    tenant: Annotated[str, typer.Option(help="Whose key it is; every object belongs to a tenant.")] = "default",
    name: Annotated[str, typer.Option(help="What the key is for, shown in the list.")] = "",
    scope: Annotated[list[Scope] | None, typer.Option(help="read, write; both where none is named.")] = None,
    rate: Annotated[
        int | None, typer.Option(min=1, help="Requests a minute; the service's own where not named.")
    ] = None,
    max_bytes: Annotated[int | None, typer.Option(min=1, help="Bytes it may keep stored; as above.")] = None,
    max_jobs: Annotated[int | None, typer.Option(min=1, help="Jobs it may have open at a time; as above.")] = None,
    state_dir: StateDir = Path(".quantd"),
    as_json: AsJson = False,
) -> None:
    """Make a key and print it: it is shown this once."""
    if not re.match(TENANT_PATTERN, tenant):
        raise ClientError(f"--tenant {tenant!r}: accepted: up to 63 of a-z, 0-9 and -")
    with administered(state_dir) as settings:
        allowance = Allowance(rate=rate, stored=max_bytes, open_jobs=max_jobs)
        key, text = _keys(settings).create(tenant, name, tuple(scope or Scope), allowance)
    if as_json:
        typer.echo(json.dumps(_shown(key) | {"key": text}))
    else:
        typer.echo(text)


@app.command("list")
def list_keys(state_dir: StateDir = Path(".quantd"), as_json: AsJson = False) -> None:
    """Every key, without what it opens with."""
    with administered(state_dir) as settings:
        keys = _keys(settings).list()
    if as_json:
        typer.echo(json.dumps([_shown(key) for key in keys]))
        return
    table = Table("id", "tenant", "name", "scopes", "created", "revoked")
    for key in keys:
        table.add_row(key.id, key.tenant, key.name, ", ".join(key.scopes), key.created_at, key.revoked_at or "-")
    console.print(table)


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="The key's id.")], state_dir: StateDir = Path(".quantd")) -> None:
    """From now on the key opens nothing."""
    with administered(state_dir) as settings:
        try:
            key = _keys(settings).revoke(key_id)
        except NotFound as error:
            raise ClientError(error.detail) from None
    typer.echo(f"{key.id} revoked at {key.revoked_at}")


def _keys(settings: Settings) -> Keys:
    return Keys(settings.redis_url, Blobs(settings.store_url))


def _shown(key: Key) -> dict[str, object]:
    return key.model_dump(mode="json", exclude={"sha256"})
