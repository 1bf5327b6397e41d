"""A process that has loaded what every job needs, and forks one for each: `python -m worker.forkserver ENTRY SOCKET`.

ENTRY is a module with `load`, which is called once, and `main`, which each fork calls in its sandbox. Nothing of a
job reaches the server: it sees folders and limits. A fork's parent dies at once, so that it becomes its worker's.
"""

import ctypes
import gc
import json
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from worker.process import Limits, environment, pools
from worker.sandbox import ENVIRONMENT, enter, require

MAX_REQUEST = 1 << 16
_PR_SET_CHILD_SUBREAPER = 36
_LOOK_EVERY_S = 0.005


class Forked:
    """A fork by its process id, to wait for as for a `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, or the negative number of the signal that ended it.

        Raises:
            subprocess.TimeoutExpired: it runs for longer than `timeout` seconds from now.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while self._code is None:
            ended, status = os.waitpid(self.pid, 0 if until is None else os.WNOHANG)
            if ended:
                self._code = os.waitstatus_to_exitcode(status)
            elif until is not None and time.monotonic() >= until:
                raise subprocess.TimeoutExpired("the job's process", timeout or 0)
            else:
                time.sleep(_LOOK_EVERY_S)
        return self._code

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None


class ForkServer:
    """The server of one entry module; it is started again when it has been killed."""

    def __init__(self, entry: str, threads: int) -> None:
        self._entry, self._environment = entry, pools(threads)
        self._lock = threading.Lock()
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._start()

    def __call__(self, folder: Path, limits: Limits, streams: Sequence[int]) -> Forked:
        """A process in the folder, under the limits, with these descriptors as its standard streams."""
        request = json.dumps({
            "folder": str(folder), "memory": limits.memory, "cpu": limits.cpu_s, "disk": limits.disk,
            "isolation": limits.isolation, "environment": environment(folder),
        }).encode()  # fmt: skip
        with self._lock:
            answer = self._ask(request, streams)
            if not answer:  # killed, by whoever was short of memory
                self.close()
                self._start()
                answer = self._ask(request, streams)
        return Forked(int(answer))

    def close(self) -> None:
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def _start(self) -> None:
        self._socket, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "worker.forkserver", self._entry, str(its.fileno())],
                env=self._environment, pass_fds=[its.fileno()], stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def _ask(self, request: bytes, streams: Sequence[int]) -> bytes:
        try:
            socket.send_fds(self._socket, [request], streams)
            return self._socket.recv(MAX_REQUEST)
        except OSError:
            return b""


def main() -> None:
    gc.disable()  # the imports make objects and drop none: collections would be a sixth of the start
    entry = import_module(sys.argv[1])
    entry.load()
    gc.freeze()  # what is there now stays: no collection is to walk it, or to write to what the forks share
    gc.enable()
    _serve(socket.socket(fileno=int(sys.argv[2])), entry.main)


def _serve(requests: socket.socket, run: Callable[[], int]) -> None:
    """Until the worker is gone."""
    while True:
        data, streams, _, _ = socket.recv_fds(requests, MAX_REQUEST, 3)
        if not data:
            return
        reader, writer = os.pipe()
        parent = os.fork()
        if parent == 0:
            parent = os.getpid()
            if os.fork():
                os._exit(0)
            os.setsid()
            os.write(writer, str(os.getpid()).encode())
            while os.getppid() == parent:  # the sandbox ends with the parent that it has when it is entered
                time.sleep(0.0002)
            _end_with(partial(_become, json.loads(data), streams, run))
        os.close(writer)
        os.waitpid(parent, 0)
        requests.send(os.read(reader, MAX_REQUEST))
        for descriptor in (reader, *streams):
            os.close(descriptor)


def _end_with(run: Callable[[], int]) -> NoReturn:
    """At once: libraries that were forked wait, at an orderly end, for threads that were not."""
    code = 1
    try:
        code = run()
    except Exception:  # noqa: BLE001 - as the interpreter does at its end
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        os._exit(code)


def _become(given: dict[str, Any], streams: Sequence[int], run: Callable[[], int]) -> int:
    """Become the process of one job: with its streams, its folder, its limits, and nothing else of the server."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    os.chdir(given["folder"])
    os.environ.update(given["environment"])
    reached = enter(Path(given["folder"]), given["memory"] + _address_space(), given["cpu"], given["disk"])
    require(given["isolation"], reached)
    os.environ[ENVIRONMENT] = " ".join(reached)
    return run()


def _address_space() -> int:
    """Bytes that are taken already: libraries, which a job's own limit is not to count."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()
