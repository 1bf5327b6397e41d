"""The Lua scripts of the records: each checks and changes in one step, so that a crash leaves all of it or nothing.

Scripts build some key names from a job's own fields, so Redis must be one server (or one with replicas), not a cluster.
"""

from functools import cache
from importlib.resources import files
from string import Template
from typing import Literal

from jobs import redis_keys

ScriptName = Literal[
    "create_job",
    "change_job",
    "delete_job",
    "mark_archived",
    "list_jobs",
    "add_upload",
    "delete_upload",
    "claim_stale",
    "next_waiting",
    "queue_position",
    "claim_webhooks",
    "claim_copy",
    "create_batch",
    "delete_batch",
]


@cache
def script(name: ScriptName) -> str:
    """Return the text of a script: the shared prelude and `lua/NAME.lua`, with the key names of `redis_keys`."""
    folder = files(__package__) / "lua"
    text = (folder / "prelude.lua").read_text() + (folder / f"{name}.lua").read_text()
    return Template(text).substitute(
        open=redis_keys.OPEN,
        queued=redis_keys.QUEUED,
        turns=redis_keys.TURNS,
        plans=redis_keys.PLANS,
        ended=redis_keys.ENDED,
        ended_batches=redis_keys.ENDED_BATCHES,
        used=redis_keys.USED,
        unarchived=redis_keys.UNARCHIVED,
        unarchived_batches=redis_keys.UNARCHIVED_BATCHES,
        gone=redis_keys.GONE,
        webhooks=redis_keys.WEBHOOKS,
        copies=redis_keys.COPIES,
        awaiting=redis_keys.AWAITING,
        usage_day=redis_keys.USAGE_DAY,
        usage_jobs=redis_keys.USAGE_JOBS,
        usage_bytes=redis_keys.USAGE_BYTES,
    )
