"""Children that start in milliseconds: a fresh process a job, by a fork of one whose imports are done."""

import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from worker.child import Child, Limits, bounds, environment
from worker.nursery import Nursery
from worker.workspaces import Workspaces

SANDBOX = (sys.executable, "-P", "-m", "worker.sandbox")


class Warm:
    """Children of one command, without one of the quantizer.

    `isolation` names what they are kept from on this machine.
    """

    def __init__(self, command: Sequence[str], limits: Limits) -> None:
        self._workspaces = Workspaces()
        self._command, self._threads = command, limits.threads
        self._nursery = self._new_nursery()
        self.isolation = _isolation(self._workspaces.new(), limits)
        self._limits = replace(limits, isolation=self.isolation)
        self._lock = threading.Lock()

    def take(self) -> Child:
        """A child that is the caller's to close."""
        return self.start(self._command)

    def start(self, command: Sequence[str]) -> Child:
        """A child of another command, as `take` gives one."""
        with self._lock:
            if not self._nursery.alive:  # killed by whoever was short of memory, and its children with it
                self._nursery.close()
                self._nursery = self._new_nursery()
            return Child(self._nursery, command, self._workspaces.new(), self._limits)

    def close(self) -> None:
        self._nursery.close()
        self._workspaces.close()

    def _new_nursery(self) -> Nursery:
        return Nursery(environment(self._workspaces.new(), self._threads), preload=not self._command)


def _isolation(folder: Path, limits: Limits) -> tuple[str, ...]:
    words = [str(bound) for bound in bounds(limits)]
    told = subprocess.run(
        [*SANDBOX, str(folder), *words, ""], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True
    ).stdout
    return tuple(told.decode().split())
