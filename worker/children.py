"""Starting the child processes of a worker, each in its own folder."""

import dataclasses
import math
import subprocess

from worker.child import Child
from worker.process import Limits, Start, sandboxed
from worker.workspaces import Workspaces


class Children:
    """The children of a worker: all start the same way and have the same limits.

    `isolation` names the parts of the sandbox that work on this machine.
    """

    def __init__(self, start: Start, limits: Limits) -> None:
        self._start, self._workspaces = start, Workspaces()
        probe = sandboxed((), self._workspaces.new(), limits)
        output = subprocess.run(probe, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True).stdout
        self.isolation = tuple(output.decode().split())
        self._limits = dataclasses.replace(limits, isolation=self.isolation)

    def new(self, timeout_s: float = math.inf) -> Child:
        """Return a child that waits for its job and has at most `timeout_s` seconds; the caller closes it."""
        limits = dataclasses.replace(self._limits, timeout_s=min(timeout_s, self._limits.timeout_s))
        return Child(self._start, self._workspaces.new(), limits)

    def close(self) -> None:
        """Remove the folders of all children."""
        self._workspaces.close()
