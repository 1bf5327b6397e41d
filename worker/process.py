"""The limits and the environment of a job's process, and starting it from a command."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

SANDBOX = (sys.executable, "-P", "-m", "worker.sandbox")


@dataclass(frozen=True)
class Limits:
    """The limits of a job's process.

    `memory` is in bytes of address space, without that of the libraries. `timeout_s` is wall-clock time. `disk` is in
    bytes of written files. `isolation` names the required parts of the sandbox: the process does not start without one.
    `in_memory` asks for a writable space in memory, whose size is exact. `user` is the user that a worker leaves root
    for.
    """

    memory: int
    timeout_s: float
    threads: int
    disk: int
    isolation: tuple[str, ...] = ()
    in_memory: bool = False
    user: int | None = None

    @property
    def cpu_s(self) -> int:
        """Return the limit of processor time in seconds, summed over all cores."""
        return int(self.timeout_s * (os.cpu_count() or 1)) + 1

    def bounds(self, folder: Path) -> dict[str, Any]:
        """Return the arguments of `worker.sandbox.Bounds`."""
        return {
            "folder": str(folder), "memory": self.memory, "cpu": self.cpu_s, "disk": self.disk, "user": self.user,
            "in_memory": self.in_memory, "parts": self.isolation,
        }  # fmt: skip


class Process(Protocol):
    """The common interface of `subprocess.Popen` and `Forked`."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...


Start = Callable[[Path, Limits, Sequence[int]], Process]
"""A function that starts a process in a folder, under limits.

The descriptors are those of its standard streams and of the socket through which its sandbox sends descriptors.
"""


def command(*words: str) -> Start:
    """Return a function that starts `words` as a command in the sandbox."""

    def start(folder: Path, limits: Limits, streams: Sequence[int]) -> Process:
        stdin, stdout, stderr, to_worker = streams
        return subprocess.Popen(
            sandboxed(words, folder, limits, to_worker), cwd=folder,
            env={**pools(limits.threads), **environment(folder)}, pass_fds=[to_worker],
            stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True,
        )  # fmt: skip

    return start


def sandboxed(words: Sequence[str], folder: Path, limits: Limits, to_worker: int | None = None) -> list[str]:
    """Return a command that enters the sandbox and then becomes `words`; `to_worker` is a socket that it inherits."""
    options = [] if to_worker is None else ["--socket", str(to_worker)]
    return [*SANDBOX, *options, json.dumps(limits.bounds(folder)), "--", *words]


def pools(threads: int) -> dict[str, str]:
    """Return an environment without the worker's addresses and secrets that limits libraries to `threads` threads.

    OpenBLAS gets one thread. With two, jobs were no faster on two processors and took up to a third more of their time.
    It would also wait for ever for threads that it could not start, as in a job that has reached its memory limit.
    PyTorch's threads would wait actively for each other, which takes processor time from other jobs.
    """
    names = ("PATH", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
    inherited = {name: os.environ[name] for name in names if name in os.environ}
    counts = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    fixed = {"OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**inherited, **dict.fromkeys(counts, str(threads)), **fixed}


def environment(folder: Path) -> dict[str, str]:
    """Return the environment variables that differ from job to job."""
    return {"HOME": str(folder / "tmp"), "TMPDIR": str(folder / "tmp")}
