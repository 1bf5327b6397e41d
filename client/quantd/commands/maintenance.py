"""`quantd gc`, `reindex` and `usage`: deletion of expired records, their restoration, and the usage of tenants."""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from quantd.commands.options import AsJson, StateDir
from quantd.server import require_server


def gc(
    days: Annotated[
        float | None, typer.Option(min=0, help="Days without use before deletion; QUANTD_RETENTION_DAYS if omitted.")
    ] = None,
    state_dir: StateDir = Path(".quantd"),
    as_json: AsJson = False,
) -> None:
    """Delete expired jobs, models and datasets, and orphaned blobs."""
    require_server("quantd gc")
    from dataclasses import asdict

    from jobs.blobs import Blobs
    from jobs.records import Records
    from jobs.retention import collect
    from quantd.admin import administered, audit

    with administered(state_dir) as settings:
        retention_days = settings.retention_days if days is None else days
        collected = collect(Records(settings.redis_url), Blobs(settings.store_url), retention_days)
        audit("collectExpired")
    if as_json:
        typer.echo(json.dumps(asdict(collected)))
    else:
        typer.echo(f"removed {collected.jobs} jobs, {collected.uploads} uploads, {collected.blobs} orphaned blobs")


def reindex(state_dir: StateDir = Path(".quantd"), as_json: AsJson = False) -> None:
    """Restore what Redis lacks from the object store, and queue unfinished jobs again. Gateways do so by themselves."""
    require_server("quantd reindex")
    import sys
    from dataclasses import asdict

    import structlog

    from jobs.archive import Archive
    from jobs.blobs import Blobs
    from jobs.keys import Keys
    from jobs.queue import make_queue
    from jobs.records import Records
    from jobs.reindex import Restorer
    from quantd.admin import administered, audit

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with administered(state_dir) as settings:
        blobs = Blobs(settings.store_url)
        queue = make_queue(settings.redis_url, settings.job_timeout_s)
        keys = Keys(settings.redis_url, blobs)
        restored = Restorer(Records(settings.redis_url), Archive(blobs), keys, queue).restore_all()
        audit("reindex")
    if as_json:
        typer.echo(json.dumps(asdict(restored)))
    else:
        typer.echo(
            f"restored {restored.keys} keys, {restored.uploads} uploads and {restored.jobs} jobs; "
            f"queued {restored.queued} of the jobs again"
            + (f"; left out {restored.unreadable} unreadable documents" if restored.unreadable else "")
        )


def usage(
    first: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day in UTC; 29 days before the last.")
    ] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day in UTC; today if omitted.")
    ] = None,
    state_dir: StateDir = Path(".quantd"),
    as_json: AsJson = False,
) -> None:
    """Show the jobs, their time and the stored bytes of each tenant."""
    require_server("quantd usage")
    from datetime import timedelta

    from jobs.records import Records
    from quantd.admin import administered

    with administered(state_dir) as settings:
        records = Records(settings.redis_url)
        end = last.date() if last else records.today()
        tenants = records.usage_by_tenant(first.date() if first else end - timedelta(29), end)
    if as_json:
        typer.echo(json.dumps(tenants))
        return
    from quantd.tables import usage_lines

    typer.echo("\n".join(usage_lines(tenants)))
