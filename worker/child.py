"""The child process of a job: in a sandbox and a folder of its own, read line by line, killed as a group."""

import contextlib
import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jobs.errors import WorkerCrashed, WorkerFailure, WorkerOutOfDisk, WorkerOutOfMemory, WorkerTimeout
from worker.process import Limits, Start
from worker.protocol import Line, read_line
from worker.workspaces import bytes_written

TICK_S = 0.5
ENDS_WITHIN_S = 5.0
CHUNK = 1 << 16
MAX_LINE = 1 << 20
_OUT_OF_MEMORY = re.compile(
    rb"MemoryError|bad_alloc|bad allocation|[Cc]annot allocate memory|failed to map segment|[Cc]an't start new thread"
    rb"|pthread_create failed|Memory allocation (still )?failed"
)
"""How Python, NumPy, C++ and the loader say that RLIMIT_AS is reached."""
_OUT_OF_DISK = re.compile(rb"No space left on device|File too large|Disk quota exceeded")
_OOM_KILLS = Path("/proc/vmstat")


class Killed(WorkerCrashed):
    """Somebody else ended the process by SIGKILL: that says nothing of the job, which may be tried again."""


class Child:
    """A process under limits in a folder that is removed with it; give it its job, then iterate it for the events it
    writes, None at least each half second.

    `peak_memory` is the most bytes that it was seen to have had resident.
    """

    def __init__(self, start: Start, folder: Path, limits: Limits) -> None:
        self.folder, self._limits = folder, limits
        self.peak_memory = 0
        self._deadline, self._oom_kills = time.monotonic() + limits.timeout_s, 0
        self._errors = (folder / "stderr.log").open("w+b")
        given, told = os.pipe(), os.pipe()
        self._input, self._output = os.fdopen(given[1], "wb"), os.fdopen(told[0], "rb")
        try:
            self._process = start(folder, limits, (given[0], told[1], self._errors.fileno()))
        finally:
            os.close(given[0])
            os.close(told[1])

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def begin(self, job: Mapping[str, Any]) -> None:
        """Tell it what to do; its time counts from here."""
        self._deadline = time.monotonic() + self._limits.timeout_s
        self._oom_kills = _oom_kills()
        with contextlib.suppress(BrokenPipeError):  # it has ended: `failure` tells why
            self._input.write(json.dumps(job).encode() + b"\n")
            self._input.close()

    def kill(self) -> None:
        """Kill the whole group: what the child has started itself, too."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """Kill it and remove its folder."""
        self.kill()
        for pipe in (self._input, self._output, self._errors):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __iter__(self) -> Iterator[Line | None]:
        pending = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ)
            while True:
                self._check()
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
        if _OUT_OF_DISK.search(self.stderr()):
            return self._too_much_disk()
        if code == -signal.SIGXCPU:
            return WorkerTimeout(f"the job used more than {self._limits.timeout_s:g} s of processor time a core")
        if code == -signal.SIGKILL and _oom_kills() > self._oom_kills:
            return WorkerOutOfMemory("the worker's machine ran out of memory, and its kernel ended the job's process")
        kind = Killed if code == -signal.SIGKILL else WorkerCrashed
        return kind(f"the job's process ended with {_ending(code)}; the service's operator finds more in its log")

    def stderr(self) -> bytes:
        """The end of what it wrote there."""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(size - CHUNK, 0))
        return self._errors.read(CHUNK)

    def _check(self) -> None:
        self.peak_memory = max(self.peak_memory, _peak_memory(self.pid))
        if time.monotonic() > self._deadline:
            raise WorkerTimeout(f"the job ran for more than {self._limits.timeout_s:g} s and was stopped")
        if bytes_written(self.folder, self.pid) > self._limits.disk:
            raise self._too_much_disk()

    def _too_much_disk(self) -> WorkerOutOfDisk:
        return WorkerOutOfDisk(
            f"the job's files need more space than there is, or than the {self._limits.disk} bytes they may have"
        )


def _peak_memory(pid: int) -> int:
    """The most bytes that a process has had resident so far; 0 where it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.M)
    return 1024 * int(found.group(1)) if found else 0


def _oom_kills() -> int:
    """How many processes of this machine, in whatever container, its kernel has ended for want of memory."""
    found = re.search(r"^oom_kill (\d+)$", _OOM_KILLS.read_text(), re.M) if _OOM_KILLS.exists() else None
    return int(found.group(1)) if found else 0


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"status {code}"
