"""The worker's side of `worker.forking`: processes that another one starts, and how each of them ends."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

COMMAND = (sys.executable, "-P", "-m", "worker.forking")
LOOK_EVERY_S = 0.002


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

    def reap(self, pid: int) -> list[int]:
        """The status of a process, as `subprocess` has it, and the most bytes that it had resident; none while it runs.

        They all end by SIGKILL with this one.
        """
        try:
            return self._ask({"reap": pid})
        except OSError:
            return [-signal.SIGKILL, 0]

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
        self._status: int | None = None
        self.peak_memory = 0

    def poll(self) -> int | None:
        """Its status; None while it runs."""
        if self._status is None and (ended := self._nursery.reap(self.pid)):
            self._status, self.peak_memory = ended
        return self._status

    def wait(self, timeout_s: float = math.inf) -> int | None:
        """Its status; None where it has none within so many seconds."""
        deadline = time.monotonic() + timeout_s
        while self.poll() is None and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY_S)
        return self._status

    def kill(self) -> None:
        """Kill its whole group, what has outlived it too, and wait for its end."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        if self._status is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)  # it may not lead its group yet
        self.wait()
