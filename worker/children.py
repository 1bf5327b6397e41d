"""Children for jobs, each in a folder of its own that goes with it."""

import dataclasses
import subprocess

from worker.child import Child
from worker.process import Limits, Start, sandboxed
from worker.workspaces import Workspaces


class Children:
    """Children that are started in one way under the same limits.

    `isolation` names what they are kept from on this machine.
    """

    def __init__(self, start: Start, limits: Limits) -> None:
        self._start, self._workspaces = start, Workspaces()
        probe = sandboxed((), self._workspaces.new(), limits)
        told = subprocess.run(probe, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True).stdout
        self.isolation = tuple(told.decode().split())
        self._limits = dataclasses.replace(limits, isolation=self.isolation)

    def new(self) -> Child:
        """A child that waits for its job; it is the caller's to close."""
        return Child(self._start, self._workspaces.new(), self._limits)

    def close(self) -> None:
        self._workspaces.close()
