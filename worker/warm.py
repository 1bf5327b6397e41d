"""Children that wait, with their imports done, for the next jobs: a fresh process a job, and no job waits for one."""

import dataclasses
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from worker.child import Child, Limits, sandboxed
from worker.workspaces import Workspaces


class Warm:
    """Children of one command, `ready` of them at a time: another is started when one is taken.

    `isolation` names what they are kept from on this machine.
    """

    def __init__(self, command: Sequence[str], limits: Limits, ready: int = 1) -> None:
        self._workspaces = Workspaces()
        self.isolation = _isolation(self._workspaces.new(), limits)
        self._command, self._limits = command, dataclasses.replace(limits, isolation=self.isolation)
        self._lock = threading.Lock()
        self._waiting = deque(self._start() for _ in range(ready))

    def take(self) -> Child:
        """The child that waits longest; it is the caller's to close."""
        with self._lock:
            self._waiting.append(self._start())
            taken = self._waiting.popleft()
        if taken.alive:
            return taken
        taken.close()  # killed while it waited, by whoever was short of memory
        return self._start()

    def close(self) -> None:
        for child in self._waiting:
            child.close()
        self._workspaces.close()

    def _start(self) -> Child:
        return Child(self._command, self._workspaces.new(), self._limits)


def _isolation(folder: Path, limits: Limits) -> tuple[str, ...]:
    told = subprocess.run(
        sandboxed((), folder, limits), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True
    ).stdout
    return tuple(told.decode().split())
