"""The process of a job: its limits, its environment, and how a command becomes one."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

SANDBOX = (sys.executable, "-P", "-m", "worker.sandbox")


@dataclass(frozen=True)
class Limits:
    """What a job may take: bytes of address space beside its libraries', seconds by the clock, threads, bytes of files
    that it writes.

    `isolation` names what its process must be kept from: it does not start with less.
    """

    memory: int
    timeout_s: float
    threads: int
    disk: int
    isolation: tuple[str, ...] = ()

    @property
    def cpu_s(self) -> int:
        """Seconds of processor time, of all cores."""
        return int(self.timeout_s * (os.cpu_count() or 1)) + 1


class Process(Protocol):
    """What a `subprocess.Popen` and a fork have in common."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...


Start = Callable[[Path, Limits, Sequence[int]], Process]
"""Starts a process in a folder, under limits, with these descriptors as its standard streams."""


def command(*words: str) -> Start:
    """How to start a command of its own."""

    def start(folder: Path, limits: Limits, streams: Sequence[int]) -> Process:
        given, told, errors = streams
        return subprocess.Popen(
            sandboxed(words, folder, limits), cwd=folder, env={**pools(limits.threads), **environment(folder)},
            stdin=given, stdout=told, stderr=errors, start_new_session=True,
        )  # fmt: skip

    return start


def sandboxed(words: Sequence[str], folder: Path, limits: Limits) -> list[str]:
    """The command that becomes `words` after it has given up what a job does not need."""
    bounds = [str(bound) for bound in (limits.memory, limits.cpu_s, limits.disk)]
    return [*SANDBOX, str(folder), *bounds, " ".join(limits.isolation), "--", *words]


def pools(threads: int) -> dict[str, str]:
    """An environment with nothing of the worker's own, no addresses and no secrets, that makes libraries keep to so
    many threads."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV") if name in os.environ}
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    return {**kept, **dict.fromkeys(names, str(threads)), "PYTHONDONTWRITEBYTECODE": "1"}


def environment(folder: Path) -> dict[str, str]:
    """What differs from job to job."""
    return {"HOME": str(folder / "tmp"), "TMPDIR": str(folder / "tmp")}
