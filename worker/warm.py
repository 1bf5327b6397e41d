"""A child that waits, with its imports done, for the next job: a fresh process a job, and none waits for its start."""

import dataclasses
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from worker.child import Child, Limits, sandboxed
from worker.workspaces import Workspaces


class Warm:
    """Children of one command: the next is started when one is taken.

    `isolation` names what they are kept from on this machine.
    """

    def __init__(self, command: Sequence[str], limits: Limits) -> None:
        self._workspaces = Workspaces()
        self.isolation = _isolation(self._workspaces.new(), limits)
        self._command, self._limits = command, dataclasses.replace(limits, isolation=self.isolation)
        self._lock = threading.Lock()
        self._next = self._start()

    def take(self) -> Child:
        """The child that waits; it is the caller's to close."""
        with self._lock:
            taken, self._next = self._next, self._start()
        if taken.alive:
            return taken
        taken.close()  # killed while it waited, by whoever was short of memory
        return self._start()

    def close(self) -> None:
        self._next.close()
        self._workspaces.close()

    def _start(self) -> Child:
        return Child(self._command, self._workspaces.new(), self._limits)


def _isolation(folder: Path, limits: Limits) -> tuple[str, ...]:
    told = subprocess.run(
        sandboxed((), folder, limits), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True
    ).stdout
    return tuple(told.decode().split())
