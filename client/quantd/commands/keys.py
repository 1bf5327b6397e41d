"""`quantd keys`: create, list and revoke API keys, directly in the records."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantd.commands.group import LightGroup
from quantd.commands.options import AsJson, StateDir
from quantd.errors import ClientError
from quantd.server import require_server

if TYPE_CHECKING:
    from jobs.keys import Key

app = typer.Typer(cls=LightGroup, help="Create, list and revoke API keys.")


@app.command()
def create(
    tenant: Annotated[str, typer.Option(help="Tenant of the key; models, datasets and jobs belong to it.")] = "default",
    name: Annotated[str, typer.Option(help="Purpose of the key, shown in the list.")] = "",
    scope: Annotated[list[str] | None, typer.Option(help="read or write; both if omitted.")] = None,
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
    require_server("quantd keys")
    import re

    from jobs.keys import TENANT_PATTERN, Allowance, Scope
    from quantd.admin import administered_keys, audit

    if not re.match(TENANT_PATTERN, tenant):
        raise ClientError(f"--tenant {tenant!r}: accepted: up to 63 of a-z, 0-9 and -")
    if unknown := set(scope or ()) - set(Scope):
        raise ClientError(f"--scope {', '.join(sorted(unknown))}: accepted: {', '.join(Scope)}")
    with administered_keys(state_dir) as keys:
        allowance = Allowance(rate=rate, stored=max_bytes, open_jobs=max_jobs)
        key, text = keys.create(tenant, name, tuple(map(Scope, scope or Scope)), allowance)
        audit("createKey", key.tenant, key.id)
    typer.echo(json.dumps(_shown(key) | {"key": text}) if as_json else text)


@app.command("list")
def list_keys(state_dir: StateDir = Path(".quantd"), as_json: AsJson = False) -> None:
    """List the keys without their secrets."""
    require_server("quantd keys")
    from quantd.admin import administered_keys

    with administered_keys(state_dir) as stored:
        keys = stored.list()
    if as_json:
        typer.echo(json.dumps([_shown(key) for key in keys]))
        return
    from quantd.tables import key_lines

    typer.echo("\n".join(key_lines([_shown(key) for key in keys])))


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="Id of the key.")], state_dir: StateDir = Path(".quantd")
) -> None:
    """Revoke a key: all later requests with it are refused."""
    require_server("quantd keys")
    from jobs.errors import NotFound
    from quantd.admin import administered_keys, audit

    with administered_keys(state_dir) as keys:
        try:
            key = keys.revoke(key_id)
            audit("revokeKey", key.tenant, key.id)
        except NotFound as error:
            raise ClientError(error.detail) from None
    typer.echo(f"{key.id} revoked at {key.revoked_at}")


def _shown(key: "Key") -> dict[str, object]:
    """Return the fields of a key that may be shown."""
    return key.model_dump(mode="json", exclude={"sha256"})
