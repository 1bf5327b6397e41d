"""`quantd gc` and `quantd reindex`: the upkeep of records and blobs, done beside them and not over HTTP."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from client.admin import StateDir, administered
from jobs.archive import Archive
from jobs.blobs import Blobs
from jobs.keys import Keys
from jobs.queue import make_queue
from jobs.records import Records
from jobs.reindex import reindex as make_index
from jobs.retention import collect

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def gc(
    days: Annotated[
        float | None, typer.Option(min=0, help="Remove what was not used for so long; else QUANTD_RETENTION_DAYS.")
    ] = None,
    state_dir: StateDir = Path(".quantd"),
    as_json: AsJson = False,
) -> None:
    """Remove jobs, models and datasets that have expired, and what belongs to nothing."""
    with administered(state_dir) as settings:
        wanted = settings.retention_days if days is None else days
        collected = collect(Records(settings.redis_url), Blobs(settings.store_url), wanted)
    if as_json:
        typer.echo(json.dumps(asdict(collected)))
    else:
        typer.echo(f"removed {collected.jobs} jobs, {collected.uploads} uploads, {collected.blobs} abandoned blobs")


def reindex(state_dir: StateDir = Path(".quantd"), as_json: AsJson = False) -> None:
    """Fill an empty Redis from the object store; what had not ended is queued again."""
    with administered(state_dir) as settings:
        blobs = Blobs(settings.store_url)
        queue = make_queue(settings.redis_url, settings.job_timeout_s)
        keys = Keys(settings.redis_url, blobs)
        restored = make_index(Records(settings.redis_url), Archive(blobs), keys, queue)
    if as_json:
        typer.echo(json.dumps(asdict(restored)))
    else:
        typer.echo(
            f"{restored.keys} keys, {restored.uploads} uploads and {restored.jobs} jobs are there, "
            f"{restored.queued} of them queued again"
        )
