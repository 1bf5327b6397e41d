"""Starting the child processes of a worker, each in its own folder."""

import dataclasses
import itertools
import math
import os
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from worker.child import Child
from worker.process import Limits, Start, sandboxed
from worker.sandbox import OWN_USER
from worker.workspaces import Workspaces

USERS = range(60706, 61184)
"""The users that a worker leaves root for: systemd's table of user ids leaves them free, and a container has them."""

_NEEDED = 1 << 0 | 1 << 5 | 1 << 6 | 1 << 7  # CAP_CHOWN, CAP_KILL, CAP_SETGID, CAP_SETUID


class Children:
    """The children of a worker: all start the same way and have the same limits.

    `isolation` names the parts of the sandbox that work on this machine.
    """

    def __init__(self, start: Start, limits: Limits) -> None:
        self._start, self._workspaces = start, Workspaces()
        self._users = _users()
        self._limits = dataclasses.replace(limits, in_memory=limits.memory + limits.disk <= memory_of_machine())
        limits, folder = self._next()
        probe = sandboxed((), folder, limits)
        output = subprocess.run(probe, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True).stdout
        self.isolation = tuple(output.decode().split())
        if OWN_USER not in self.isolation:
            self._users = itertools.repeat(None)
        self._limits = dataclasses.replace(self._limits, isolation=self.isolation)

    def new(self, timeout_s: float = math.inf) -> Child:
        """Return a child that waits for its job and has at most `timeout_s` seconds; the caller closes it."""
        limits, folder = self._next()
        return Child(self._start, folder, dataclasses.replace(limits, timeout_s=min(timeout_s, limits.timeout_s)))

    def _next(self) -> tuple[Limits, Path]:
        """Return the limits of the next process, with its user, and its folder."""
        user = next(self._users)
        return dataclasses.replace(self._limits, user=user), self._workspaces.new(user)

    def close(self) -> None:
        """Remove the folders of all children."""
        self._workspaces.close()


def _users() -> Iterator[int | None]:
    """Yield the users of the processes: in turn those of `USERS` if this worker may leave root, else its own (None).

    The first is random, so that workers on the same machine hardly meet.
    """
    if not _may_leave_root():
        return itertools.repeat(None)
    first = random.randrange(len(USERS))
    return itertools.cycle([*USERS[first:], *USERS[:first]])


def _may_leave_root() -> bool:
    """Return True if this worker is root, may give files and processes to `USERS`, and may kill these processes."""
    status = Path("/proc/self/status").read_text()
    capabilities = int(re.search(r"^CapEff:\s+([0-9a-f]+)$", status, re.M)[1], 16)  # type: ignore[index]
    mapped = (map(int, line.split()) for line in Path("/proc/self/uid_map").read_text().splitlines())
    has_users = any(first <= USERS[0] and USERS[-1] < first + count for first, _, count in mapped)
    return os.geteuid() == 0 and has_users and capabilities & _NEEDED == _NEEDED


def memory_of_machine() -> int:
    """Return the bytes of memory of this machine or of its container, whichever are fewer."""
    limit = Path("/sys/fs/cgroup/memory.max")
    words = limit.read_text().strip() if limit.exists() else "max"
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(machine, int(words)) if words.isdecimal() else machine
