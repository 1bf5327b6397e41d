"""Starting the child processes of a worker, each in its own folder."""

import dataclasses
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

    def new(self) -> Child:
        """Return a child that waits for its job; the caller closes it."""
        return Child(self._start, self._workspaces.new(), self._limits)

    def close(self) -> None:
        """Remove the folders of all children."""
        self._workspaces.close()
