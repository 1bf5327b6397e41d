"""The events of a job as a stream of server-sent events, which is opened again where it was interrupted."""

import json
from collections.abc import Mapping
from typing import Any

from quantd.errors import Unreachable
from quantd.steps import Flow, Sleep

Event = Mapping[str, Any]
"""`event` is `progress` (with stage, done, total, message), `log` (with level, message) or `state` (with status)."""

MOST_FAILURES = 4
"""The failures in a row after which nobody follows the events any more: the job's end can be waited for without."""
PAUSE_S = 0.5


class EventFeed:
    """The events that arrived, over any number of connections."""

    def __init__(self, job_id: str) -> None:
        self.path = f"/v1/jobs/{job_id}/events"
        self.is_open = True
        self._last_id = ""
        self._kind = ""
        self._failures = 0

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the next connection: it goes on after the last event."""
        return {"Last-Event-ID": self._last_id} if self._last_id else {}

    def read(self, line: str) -> Event | None:
        """Read a line of the stream and return the event that it completes."""
        field, _, value = line.partition(":")
        value = value.strip()
        if field == "id":
            self._last_id = value
        elif field == "event":
            self._kind = value
        elif field == "data":
            event = {"event": self._kind, **_fields(value)}
            self._failures = 0
            self.is_open = not event.get("final", False)
            return event
        return None

    def interrupted(self, error: Unreachable | None = None) -> Flow[None]:
        """Note the end of a connection, and wait before the next one."""
        self._failures += 1
        if self._failures >= MOST_FAILURES or (error is not None and not error.may_pass):
            self.is_open = False
        if self.is_open:
            yield Sleep(max(PAUSE_S, error.retry_after_s if error else 0.0))


def _fields(value: str) -> Event:
    """Return the fields of an event; one that cannot be read counts as an interruption.

    Raises:
        Unreachable: the value is no JSON object.
    """
    try:
        fields = json.loads(value)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise Unreachable("an event arrived that is not quantd's")
    return fields
