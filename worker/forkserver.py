"""A fork server: a process that has loaded the libraries, and forks one process for each job.

`python -m worker.forkserver ENTRY SOCKET`. ENTRY is a module with `load`, which is called once, and `main`, which each
fork calls in its sandbox. The server sees folders and limits, but no data of a job. The direct parent of a fork exits
at once, so that the worker adopts the fork (it is a child subreaper).
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
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from worker import namespaces
from worker.process import Limits, environment, pools
from worker.sandbox import ENVIRONMENT, Bounds, enter, prepare

MAX_REQUEST = 1 << 16
STREAMS = 3
LOADS_WITHIN_S, ANSWERS_WITHIN_S = 240.0, 10.0
"""The longest wait for the first fork, which includes loading the libraries, and for each later one."""
_PR_SET_CHILD_SUBREAPER = 36
_POLL_EVERY_S = 0.005


class Forked:
    """A forked process with the interface of `subprocess.Popen` that `Child` uses."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the process; return its exit status, or the negative number of the signal that ended it.

        Raises:
            subprocess.TimeoutExpired: it still runs after `timeout` seconds.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while self._code is None:
            ended, status = os.waitpid(self.pid, 0 if until is None else os.WNOHANG)
            if ended:
                self._code = os.waitstatus_to_exitcode(status)
            elif until is not None and time.monotonic() >= until:
                raise subprocess.TimeoutExpired("the job's process", timeout or 0)
            else:
                time.sleep(_POLL_EVERY_S)
        return self._code

    def poll(self) -> int | None:
        """Return the exit status, or None while the process runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None


class ForkServer:
    """A fork server of one entry module; if it was killed or hangs, the next call starts it again."""

    def __init__(self, entry: str, threads: int) -> None:
        self._entry, self._environment = entry, pools(threads)
        self._lock = threading.Lock()
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._start()

    def __call__(self, folder: Path, limits: Limits, streams: Sequence[int]) -> Forked:
        """Start a process in `folder` under `limits`, with these standard streams and this socket to the worker.

        Raises:
            ChildProcessError: the server does not answer, even after a new start.
        """
        request = json.dumps({"bounds": limits.bounds(folder), "environment": environment(folder)}).encode()
        with self._lock:
            answer = self._ask(request, streams)
            if not answer:  # it was killed, probably for lack of memory, or it hangs
                self.close()
                self._start()
                answer = self._ask(request, streams)
        if not answer:
            raise ChildProcessError("the fork server ended or hung twice")
        return Forked(int(answer))

    def close(self) -> None:
        """Kill the server; its forks go on."""
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def _start(self) -> None:
        self._socket, server_socket = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(LOADS_WITHIN_S)
        with server_socket:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "worker.forkserver", self._entry, str(server_socket.fileno())],
                env=self._environment, pass_fds=[server_socket.fileno()], stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip

    def _ask(self, request: bytes, streams: Sequence[int]) -> bytes:
        try:
            socket.send_fds(self._socket, [request], streams)
            answer = self._socket.recv(MAX_REQUEST)
            self._socket.settimeout(ANSWERS_WITHIN_S)
            return answer
        except OSError:
            return b""


def main() -> None:
    """Load the entry module and serve."""
    gc.disable()  # imports create objects and drop none: collections would take a sixth of the start
    entry = import_module(sys.argv[1])
    entry.load()
    prepare()
    gc.freeze()  # these objects stay: collections must not visit them and so copy the pages that forks share
    gc.enable()
    _serve(socket.socket(fileno=int(sys.argv[2])), entry.main)


def _serve(requests: socket.socket, run: Callable[[], int]) -> None:
    """Fork a process for each request, until the worker closes the socket."""
    while True:
        data, streams, _, _ = socket.recv_fds(requests, MAX_REQUEST, STREAMS + 1)
        if not data:
            return
        reader, writer = os.pipe()
        waiting, adopted = os.pipe()
        parent = os.fork()
        if parent == 0:
            left = namespaces.leave(ctypes.CDLL(None, use_errno=True))
            if child := os.fork():
                os.write(writer, str(child).encode())
                os._exit(0)
            os.setsid()
            os.close(writer)  # no answer before: the worker kills the job's process group, which begins here
            os.close(adopted)
            os.read(waiting, 1)  # enter the sandbox as a child of the worker: the process dies with its parent
            _end_with(partial(_become, json.loads(data), left, streams, run))
        os.close(writer)
        os.waitpid(parent, 0)
        os.close(adopted)
        with os.fdopen(reader, "rb") as answer:
            requests.send(answer.read())
        for descriptor in (waiting, *streams):
            os.close(descriptor)


def _end_with(run: Callable[[], int]) -> NoReturn:
    """Run, then exit without cleanup, in which libraries would wait for threads that a fork does not have."""
    code = 1
    try:
        code = run()
    except Exception:  # noqa: BLE001 - as the interpreter does at exit
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        os._exit(code)


def _become(request: dict[str, Any], left: Sequence[str], streams: Sequence[int], run: Callable[[], int]) -> int:
    """Turn this fork into the process of a job, with its streams, folder and limits, and close all other files."""
    for number, stream in enumerate(streams):  # the fourth is the socket to the worker
        os.dup2(stream, number)
    os.closerange(len(streams), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    os.environ.update(request["environment"])
    bounds = Bounds(**request["bounds"])
    bounds = replace(bounds, memory=bounds.memory + _address_space())
    os.environ[ENVIRONMENT] = " ".join(enter(bounds, left, STREAMS))
    return run()


def _address_space() -> int:
    """Return the bytes already mapped: libraries, which do not count against the limit of a job."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()
