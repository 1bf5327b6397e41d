"""The child process of a job: in its own folder, with a clean environment, read line by line, killed as a group."""

import contextlib
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from jobs.errors import WorkerCrashed, WorkerFailure, WorkerOutOfMemory, WorkerTimeout
from worker.protocol import Line, read_line

TICK_S = 0.5
ENDS_WITHIN_S = 5.0
CHUNK = 1 << 16
MAX_LINE = 1 << 20
_OUT_OF_MEMORY = re.compile(
    rb"MemoryError|bad_alloc|bad allocation|[Cc]annot allocate memory|failed to map segment|[Cc]an't start new thread"
    rb"|pthread_create failed|Memory allocation (still )?failed"
)
"""How Python, NumPy, C++ and the loader say that RLIMIT_AS is reached."""


@dataclass(frozen=True)
class Limits:
    """What a job may take: bytes of address space (and of one file), seconds by the clock, threads."""

    memory: int
    timeout_s: float
    threads: int


class Child:
    """`command` under limits; iterate it for the events it writes, None at least each half second."""

    def __init__(self, command: Sequence[str], folder: Path, limits: Limits) -> None:
        self._limits = limits
        self._deadline = time.monotonic() + limits.timeout_s
        self._errors = (folder / "stderr.log").open("w+b")
        cpu_s = int(limits.timeout_s * (os.cpu_count() or 1)) + 1
        given = [str(number) for number in (limits.memory, cpu_s, limits.memory)]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "worker.sandbox", *given, "--", *command],
            cwd=folder, env=_environment(folder, limits.threads), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=self._errors, start_new_session=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        self._output = self._process.stdout

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill()
        self._output.close()
        self._errors.close()

    def __iter__(self) -> Iterator[Line | None]:
        pending = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ)
            while True:
                self._check_time()
                if not selector.select(TICK_S):
                    if self._process.poll() is not None:  # a grandchild holds the pipe open
                        return
                    yield None
                    continue
                data = os.read(self._output.fileno(), CHUNK)
                if not data:
                    return
                *lines, pending = (pending + data).split(b"\n")
                pending = pending if len(pending) <= MAX_LINE else b""
                yield None
                yield from map(read_line, lines)

    def failure(self) -> WorkerFailure:
        """Why the child ended without its last line."""
        try:
            code = self._process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            return WorkerCrashed("the job's process closed its output and went on; it was stopped")
        if _OUT_OF_MEMORY.search(self.stderr()):
            limit = self._limits.memory
            return WorkerOutOfMemory(f"the job's process needs more than the {limit} bytes it may have")
        if code == -signal.SIGXCPU:
            return WorkerTimeout(f"the job used more than {self._limits.timeout_s:g} s of processor time a core")
        return WorkerCrashed(
            f"the job's process ended with {_ending(code)}; the service's operator finds more in its log"
        )

    def stderr(self) -> bytes:
        """The end of what it wrote there."""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(size - CHUNK, 0))
        return self._errors.read(CHUNK)

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise WorkerTimeout(f"the job ran for more than {self._limits.timeout_s:g} s and was stopped")

    def _kill(self) -> None:
        """Kill the whole group: what the child has started itself, too."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _environment(folder: Path, threads: int) -> dict[str, str]:
    """Nothing of the worker's own: no addresses, no secrets."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV") if name in os.environ}
    pools = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    return {
        **kept,
        **dict.fromkeys(pools, str(threads)),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"status {code}"
