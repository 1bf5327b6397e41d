"""The journal of the archive: an empty blob for each document that was written or removed lately, by the minute.

Thus the latest changes are found without a list of the whole object store. Its clock is that of the process that wrote
the document; readers allow for clocks that differ.
"""

import re
import time
from enum import IntEnum

from jobs.blobs import Blobs

FOLDER = "_journal"
"""No tenant's name begins with an underscore."""
KEPT_S = 3600.0
"""Entries older than this are removed."""
MINUTE_S = 60
_NAME = re.compile(r"(.+):([012])")


class Change(IntEnum):
    """A change of a document. Ids are never used again, so of several changes the greatest is the last."""

    WRITTEN = 0
    ENDED = 1
    REMOVED = 2


class Journal:
    """The journal of one object store."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def note(self, key: str, change: Change) -> None:
        """Enter a change of the document `key`; call it before the change, so that no change is without an entry."""
        self._blobs.put(f"{_minute(time.time())}/{key.replace('/', ':')}:{change.value}", b"")

    def since(self, time_s: float) -> dict[str, Change]:
        """Return the last change of each document that changed after `time_s` (seconds since 1970)."""
        changes: dict[str, Change] = {}
        for entry in self._blobs.entries(FOLDER, after=_minute(time_s)):
            match = _NAME.fullmatch(entry.key.split("/")[-1])
            if match is not None:
                key = match.group(1).replace(":", "/")
                changes[key] = max(changes.get(key, Change.WRITTEN), Change(int(match.group(2))))
        return changes

    def trim(self) -> None:
        """Remove the entries that are older than `KEPT_S`."""
        oldest = _minute(time.time() - KEPT_S)
        for minute in self._blobs.folders(FOLDER):
            if minute < oldest:
                for key in self._blobs.keys(minute):
                    self._blobs.delete(key)


def _minute(time_s: float) -> str:
    return f"{FOLDER}/{int(time_s // MINUTE_S):010d}"
