"""The presence of records, by which lost ones are found."""

from collections.abc import Sequence
from typing import Literal

from jobs.job import FINAL
from jobs.records.store import RecordStore
from jobs.redis_keys import GONE, Kind, batch_key, job_key, upload_key

Presence = Literal["lost", "open", "ended", "stored", "gone"]
"""Of a job or a batch `open` or `ended`, of an upload `stored`; `gone` was deleted or refused, and Redis does not know
`lost`."""
_ENDED = frozenset(f'"{status}"' for status in FINAL)


class RecordPresence(RecordStore):
    """A look at many records at a time."""

    def presence(self, names: Sequence[tuple[Literal["job", "batch"] | Kind, str]]) -> list[Presence]:
        """Return the presence of each record, by kind and id, in one round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        for kind, name in names:
            pipeline.exists(GONE + name)
            if kind == "job" or kind == "batch":
                pipeline.hget(job_key(name) if kind == "job" else batch_key(name), "status")
            else:
                pipeline.exists(upload_key(kind, name))
        answers = pipeline.execute()
        return [_presence(gone, known) for gone, known in zip(answers[::2], answers[1::2], strict=True)]


def _presence(gone: int, known: str | int | None) -> Presence:
    if not known:
        return "gone" if gone else "lost"
    if isinstance(known, int):
        return "stored"
    return "ended" if known in _ENDED else "open"
