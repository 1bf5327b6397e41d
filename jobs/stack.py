"""The embedded service: Valkey, the gateway and the worker as processes on this machine."""

import fcntl
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from jobs.process import start, stop
from jobs.valkey import Valkey

READY_WITHIN_S = 30.0
ADDRESS = "redis-url"
"""The file in the state folder with the Redis URL of the running service."""


class StackFailed(RuntimeError):
    """A service that cannot start, or lost one of its processes; the message says why or names the log."""


class Stack:
    """A running service: `with Stack(state_dir) as stack:` serves at `stack.url`; the data stays in `state_dir`.

    Enter it in the main thread: the processes end with the thread that started them, even if that is killed.

    Raises:
        StackFailed: the port or the folder is in use, or a process does not become ready.
    """

    def __init__(
        self,
        state_dir: Path,
        host: str = "127.0.0.1",
        port: int = 0,
        workers: int = 1,
        settings: dict[str, str] | None = None,
    ) -> None:
        self.folder = state_dir.absolute()
        self._host, self._port, self._workers = host, _usable_port(host, port), workers
        self._settings = settings or {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._valkey: Valkey | None = None
        self._lock: IO[str] | None = None
        self.url = f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = locked(self.folder)
        try:
            self._valkey = Valkey(self.folder / "valkey")
            (self.folder / ADDRESS).write_text(self._valkey.url)
            self._start("gateway", "service", "--host", self._host, "--port", str(self._port))
            self._start("worker", "worker", "--concurrency", str(self._workers))
            self._wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait(self) -> None:
        """Wait until a process of the service ends unexpectedly.

        Raises:
            StackFailed: a process ended.
        """
        while True:
            self._check_alive()
            time.sleep(0.5)

    def pid(self, name: str) -> int:
        """Return the process id of `gateway`, `worker` or `valkey`."""
        return self._running()[name].pid

    def stop(self) -> None:
        """Stop all processes: the worker first, and Valkey, to which it writes, last."""
        for name in ("worker", "gateway"):
            if process := self._processes.pop(name, None):
                stop(process)
        if self._valkey is not None:
            self._valkey.stop()
            self._valkey = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _start(self, name: str, module: str, *arguments: str) -> None:
        assert self._valkey is not None
        environment = {
            **os.environ,
            "QUANTD_STATE_DIR": str(self.folder),
            "QUANTD_STORE_URL": (self.folder / "store").as_uri(),
            "QUANTD_REDIS_URL": self._valkey.url,
            **self._settings,
        }
        command = [sys.executable, "-P", "-m", module, *arguments]  # -P: do not import modules from the caller's folder
        self._processes[name] = start(command, self.folder / f"{name}.log", environment)

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            self._check_alive()
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise StackFailed(f"the service was not ready within {READY_WITHIN_S:.0f} s; logs are in {self.folder}")

    def _running(self) -> dict[str, subprocess.Popen[bytes]]:
        return self._processes | ({"valkey": self._valkey.process} if self._valkey is not None else {})

    def _check_alive(self) -> None:
        for name, process in self._running().items():
            if process.poll() is not None:
                log = self.folder / ("valkey/valkey.log" if name == "valkey" else f"{name}.log")
                raise StackFailed(f"the {name} ended with status {process.returncode}: {_last_line(log)} (log: {log})")


def _usable_port(host: str, port: int) -> int:
    """Return `port`, or a free port for 0, after checking that no other service listens there."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StackFailed(f"cannot listen on {host}, port {port}: {error.strerror}; choose another") from None
        return int(probe.getsockname()[1])


def locked(folder: Path) -> IO[str]:
    """Lock a state folder until the returned file is closed: two servers must not write the same append-only file.

    Raises:
        StackFailed: another process holds the lock.
    """
    lock = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise StackFailed(f"another service uses {folder}; stop it or choose another state folder") from None
    return lock


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "its log is empty"
