"""The audit log: one JSON line for each request and each command of an operator that changes something."""

import json
import logging
import sys
from logging.handlers import WatchedFileHandler
from typing import Any

from jobs.job import now

STDERR = "stderr"
"""The target that is the standard error stream instead of a file."""


class AuditLog:
    """The lines of one process. A file that was moved away for rotation is opened anew before the next line."""

    def __init__(self, target: str | None) -> None:
        """Write to the file `target`, to the standard error stream, or nowhere for None."""
        self._handler: logging.Handler | None = None
        if target is not None:
            self._handler = logging.StreamHandler(sys.stderr) if target == STDERR else WatchedFileHandler(target)

    def write(self, **fields: Any) -> None:
        """Write one line with the time and these fields; secrets must not be among them."""
        if self._handler is not None:
            line = json.dumps({"time": now(), **fields})
            self._handler.handle(logging.LogRecord("audit", logging.INFO, "", 0, line, None, None))

    def close(self) -> None:
        """Close the file."""
        if self._handler is not None:
            self._handler.close()
