"""The child process of a job: it runs in a sandbox and its own folder, and is killed with all that it started."""

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jobs.errors import WorkerCrashed, WorkerFailure, WorkerOutOfDisk, WorkerOutOfMemory, WorkerTimeout
from worker.process import Limits, Start
from worker.protocol import Line, read_line
from worker.removal import remove_tree
from worker.supervision import Supervision
from worker.tail import Tail
from worker.workspaces import bytes_written

TICK_S = 0.5
ENDS_WITHIN_S = 5.0
CHUNK = 1 << 16
MAX_LINE = 1 << 20
_OUT_OF_MEMORY = re.compile(
    rb"MemoryError|bad_alloc|bad allocation|[Cc]annot allocate memory|failed to map segment|[Cc]an't start new thread"
    rb"|pthread_create failed|Memory allocation (still )?failed"
)
"""The messages with which Python, NumPy, C++ and the loader report that RLIMIT_AS is reached."""
_OUT_OF_DISK = re.compile(rb"No space left on device|File too large|Disk quota exceeded")
_OOM_KILLS = Path("/proc/vmstat")


class Killed(WorkerCrashed):
    """A SIGKILL from outside: it says nothing about the job, so the job may be tried again."""


class Child:
    """A limited process whose folder is removed with it.

    Call `begin` with the job, then iterate over its messages; the iterator yields None at least every `TICK_S`.
    `peak_memory` is the largest resident size seen, in bytes.
    """

    def __init__(self, start: Start, folder: Path, limits: Limits) -> None:
        self.folder, self._limits = folder, limits
        self.peak_memory = 0
        self._deadline, self._oom_kills = time.monotonic() + limits.timeout_s, 0
        self._supervision, self._errors = Supervision(), Tail()
        input_pipe, output_pipe = os.pipe(), os.pipe()
        self._input, self._output = os.fdopen(input_pipe[1], "wb"), os.fdopen(output_pipe[0], "rb")
        theirs = (input_pipe[0], output_pipe[1], self._errors.writer)
        try:
            self._process = start(folder, limits, (*theirs, self._supervision.socket.fileno()))
        finally:
            self._supervision.socket.close()
            for descriptor in theirs:
                os.close(descriptor)

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    @property
    def space(self) -> Path:
        """Return the folder with the writable folders; it stays until `close`, also if it is in memory."""
        self._supervision.receive()
        space = self._supervision.space
        return self.folder if space is None else Path(f"/proc/self/fd/{space}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def begin(self, job: Mapping[str, Any]) -> None:
        """Send the job to the process; the time limit counts from here."""
        self._deadline = time.monotonic() + self._limits.timeout_s
        self._oom_kills = _oom_kills()
        with contextlib.suppress(BrokenPipeError):  # it has ended: `failure` returns the reason
            self._input.write(json.dumps(job).encode() + b"\n")
            self._input.close()

    def kill(self) -> None:
        """Kill the process group: the child and everything that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """Kill the process and remove its folder."""
        self.kill()
        for pipe in (self._input, self._output, self._errors, self._supervision):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        remove_tree(self.folder)

    def __iter__(self) -> Iterator[Line | None]:
        pending, unread = b"", MAX_LINE  # a pipe holds no more when the process has ended
        output = self._output.fileno()
        while unread > 0:
            # Asked before the pipe is: this process may be stopped for a while, in which the child ends well.
            ended = self._process.poll() is not None
            if not ended:
                self._check()
            supervised = self._supervision.descriptors()
            readable = _readable([output, *supervised, *self._errors.descriptors()], 0 if ended else TICK_S)
            self._errors.read()
            for descriptor in set(readable) & set(supervised):
                yield from self._supervision.read(descriptor)
            if output not in readable:
                if ended:  # a grandchild holds the pipe open
                    return
                yield None
                continue
            data = os.read(output, CHUNK)
            if not data:
                return
            unread -= len(data) if ended else 0
            *lines, pending = (pending + data).split(b"\n")
            pending = pending if len(pending) <= MAX_LINE else b""
            yield None
            yield from map(read_line, lines)

    def failure(self) -> WorkerFailure:
        """Return the reason why the child ended without its last message."""
        try:
            code = self._process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            return WorkerCrashed("the job's process closed its output and kept running; it was stopped")
        if _OUT_OF_MEMORY.search(self.stderr()):
            limit = self._limits.memory
            return WorkerOutOfMemory(f"the job's process needs more than its limit of {limit} bytes")
        full_map = code == -signal.SIGBUS and self._supervision.space is not None
        if full_map or _OUT_OF_DISK.search(self.stderr()):
            return self._too_much_disk()
        if code == -signal.SIGXCPU:
            return WorkerTimeout(f"the job used more than {self._limits.timeout_s:g} s of processor time per core")
        if code == -signal.SIGKILL and _oom_kills() > self._oom_kills:
            return WorkerOutOfMemory("the worker's machine ran out of memory, and the kernel killed the job's process")
        kind = Killed if code == -signal.SIGKILL else WorkerCrashed
        return kind(f"the job's process ended with {_ending(code)}; the worker's log has its last output")

    def stderr(self) -> bytes:
        """Return the end of the process's standard error."""
        return self._errors.end()

    def _check(self) -> None:
        self.peak_memory = max(self.peak_memory, _peak_memory(self.pid))
        if time.monotonic() > self._deadline:
            raise WorkerTimeout(f"the job ran for more than {self._limits.timeout_s:g} s and was stopped")
        if self._supervision.space is None and bytes_written(self.folder, self.pid) > self._limits.disk:
            raise self._too_much_disk()

    def _too_much_disk(self) -> WorkerOutOfDisk:
        return WorkerOutOfDisk(
            f"the job's files need more space than the disk has, or than their limit of {self._limits.disk} bytes"
        )


def _readable(descriptors: Sequence[int], timeout_s: float) -> list[int]:
    """Return the descriptors that have something to read or were closed at their other end."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(1000 * timeout_s)]


def _peak_memory(pid: int) -> int:
    """Return the peak resident size of a process in bytes, or 0 if it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0
    match = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.M)
    return 1024 * int(match.group(1)) if match else 0


def _oom_kills() -> int:
    """Return the number of processes on this machine, in any container, that the kernel killed for lack of memory."""
    match = re.search(r"^oom_kill (\d+)$", _OOM_KILLS.read_text(), re.M) if _OOM_KILLS.exists() else None
    return int(match.group(1)) if match else 0


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"status {code}"
