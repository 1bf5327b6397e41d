"""The worker's side of `worker.forking`: processes that another one starts, and how each of them ends."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

COMMAND = (sys.executable, "-P", "-m", "worker.forking")


class Nursery:
    """A process that starts others; where one is wanted before its imports are done, that one waits.

    Raises:
        OSError: it has ended.
    """

    def __init__(self, environment: Mapping[str, str], preload: bool) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [*COMMAND, *(["--preload"] if preload else [])], env=environment,
                stdin=theirs, stdout=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        self._lock = threading.Lock()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def start(self, request: Mapping[str, Any], files: Sequence[int]) -> "Process":
        """A new process with these standard input, output and error; `worker.forking` has what a request says."""
        return Process(self, *self._ask({"start": request}, files))

    def reap(self, pid: int) -> tuple[int, int]:
        """The status of a process that has ended, as `subprocess` has it, and the most bytes that it had resident.

        They all end by SIGKILL with this one.
        """
        try:
            status, peak = self._ask({"reap": pid})
        except OSError:
            return -signal.SIGKILL, 0
        return status, peak

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._socket.close()

    def _ask(self, request: Mapping[str, Any], files: Sequence[int] = ()) -> list[int]:
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(request).encode()], files)
            answer = self._socket.recv(64)
        if not answer:
            raise ConnectionResetError("the process that starts those of jobs has ended")
        return [int(number) for number in json.loads(answer)]


class Process:
    """What `subprocess.Popen` is for an own child; `peak_memory` in bytes, after its end."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.pid, self._nursery = pid, nursery
        self._handle: int | None = os.pidfd_open(pid)
        self._status: int | None = None
        self.peak_memory = 0

    def poll(self) -> int | None:
        return self._look(0)

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Its status; None where it has none within so many seconds."""
        return self._look(timeout_s)

    def kill(self) -> None:
        """Kill its whole group, what has outlived it too, and wait for its end."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        if self._handle is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)  # it may not lead its group yet
        self._look(None)

    def _look(self, timeout_s: float | None) -> int | None:
        if self._handle is None:
            return self._status
        waiting = select.poll()
        waiting.register(self._handle, select.POLLIN)
        if waiting.poll(None if timeout_s is None else 1000 * timeout_s):
            os.close(self._handle)
            self._handle = None
            self._status, self.peak_memory = self._nursery.reap(self.pid)
        return self._status
