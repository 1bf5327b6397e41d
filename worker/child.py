"""The child process of a job: in its own folder, with a clean environment, read line by line, killed as a group."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jobs.errors import WorkerCrashed, WorkerFailure, WorkerOutOfMemory, WorkerTimeout

TICK_S = 0.5
MAX_LINE = 1 << 20


class Child:
    """`command` under limits; iterate it for the JSON events it writes, None each half second in which none came."""

    def __init__(self, command: Sequence[str], folder: Path, memory: int, timeout_s: float) -> None:
        self._deadline = time.monotonic() + timeout_s
        self._timeout_s = timeout_s
        self._errors = (folder / "stderr.log").open("w+b")
        limits = [str(memory), str(int(timeout_s * (os.cpu_count() or 1)) + 1), str(memory)]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "worker.sandbox", *limits, "--", *command],
            cwd=folder, env=_environment(folder), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=self._errors, start_new_session=True,
        )  # fmt: skip
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        threading.Thread(target=self._pump, daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._errors.close()

    def __iter__(self) -> Iterator[dict[str, Any] | None]:
        while True:
            if time.monotonic() > self._deadline:
                raise WorkerTimeout(f"the job ran for more than {self._timeout_s:g} s and was stopped")
            try:
                line = self._lines.get(timeout=TICK_S)
            except queue.Empty:
                yield None
                continue
            if line is None:
                return
            yield _event(line)

    def failure(self) -> WorkerFailure:
        """Why the child ended without its last line."""
        self._process.wait()
        code = self._process.returncode
        self._errors.seek(0)
        errors = self._errors.read(1 << 20)
        if b"MemoryError" in errors or b"bad_alloc" in errors or b"bad allocation" in errors:
            return WorkerOutOfMemory("the job's process ran out of its memory limit; use a smaller model or raise it")
        if code == -signal.SIGXCPU:
            return WorkerTimeout(f"the job used more than {self._timeout_s:g} s of processor time a core")
        return WorkerCrashed(
            f"the job's process ended with {_ending(code)}; the service's operator finds more in its log"
        )

    def stderr(self) -> str:
        self._errors.seek(0)
        return self._errors.read(1 << 16).decode(errors="replace")

    def kill(self) -> None:
        """Kill the whole group: what the child has started itself, too."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _pump(self) -> None:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline(MAX_LINE):
            self._lines.put(line)
        self._lines.put(None)


def _environment(folder: Path) -> dict[str, str]:
    """Nothing of the worker's own: no addresses, no secrets."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV") if name in os.environ}
    return {**kept, "HOME": str(folder), "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


def _event(line: bytes) -> dict[str, Any] | None:
    """A line that is no JSON object is some library's own words."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"status {code}"
