"""`quantd keys`: create, list and revoke API keys, directly in the records."""

import json
import re
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from client.admin import StateDir, administered
from client.commands.options import AsJson, out_console
from client.errors import ClientError
from jobs.blobs import Blobs
from jobs.errors import NotFound
from jobs.keys import TENANT_PATTERN, Allowance, Key, Keys, Scope
from jobs.settings import Settings

app = typer.Typer(help="Create, list and revoke API keys.", no_args_is_help=True)


@app.command()
def create(
    tenant: Annotated[str, typer.Option(help="Tenant of the key; models, datasets and jobs belong to it.")] = "default",
    name: Annotated[str, typer.Option(help="Purpose of the key, shown in the list.")] = "",
    scope: Annotated[list[Scope] | None, typer.Option(help="read or write; both if omitted.")] = None,
    rate: Annotated[
        int | None, typer.Option(min=1, help="Requests per minute; the service's default if omitted.")
    ] = None,
    max_bytes: Annotated[
        int | None, typer.Option(min=1, help="Bytes of storage; the service's default if omitted.")
    ] = None,
    max_jobs: Annotated[
        int | None, typer.Option(min=1, help="Open jobs at a time; the service's default if omitted.")
    ] = None,
    state_dir: StateDir = Path(".quantd"),
    as_json: AsJson = False,
) -> None:
    """Create a key and print it. It is not shown again."""
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
    """List the keys without their secrets."""
    with administered(state_dir) as settings:
        keys = _keys(settings).list()
    if as_json:
        typer.echo(json.dumps([_shown(key) for key in keys]))
        return
    table = Table("id", "tenant", "name", "scopes", "created", "revoked")
    for key in keys:
        table.add_row(key.id, key.tenant, key.name, ", ".join(key.scopes), key.created_at, key.revoked_at or "-")
    out_console.print(table)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="Id of the key.")], state_dir: StateDir = Path(".quantd")
) -> None:
    """Revoke a key: all later requests with it are refused."""
    with administered(state_dir) as settings:
        try:
            key = _keys(settings).revoke(key_id)
        except NotFound as error:
            raise ClientError(error.detail) from None
    typer.echo(f"{key.id} revoked at {key.revoked_at}")


def _keys(settings: Settings) -> Keys:
    return Keys(settings.redis_url, Blobs(settings.store_url))


def _shown(key: Key) -> dict[str, object]:
    """Return the fields of a key that may be shown."""
    return key.model_dump(mode="json", exclude={"sha256"})
