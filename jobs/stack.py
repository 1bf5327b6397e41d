"""The embedded service: Valkey, the gateway and the workers as processes of this machine, started and stopped."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

from jobs.valkey import Valkey

READY_WITHIN_S = 30.0
STOPS_WITHIN_S = 10.0


class StackFailed(RuntimeError):
    """A process of the service ended by itself or did not get ready; the message names it and its log."""


class Stack:
    """`with Stack(state_dir) as stack:` serves at `stack.url`; records and blobs stay in `state_dir`.

    Raises:
        StackFailed: a process does not get ready.
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
        self._host, self._port, self._workers = host, port or _free_port(host), workers
        self._settings = settings or {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._valkey: Valkey | None = None
        self.url = f"http://{host}:{self._port}"

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._valkey = Valkey(self.folder / "valkey")
            self.environment = {
                **os.environ,
                "QUANTD_REDIS_URL": self._valkey.url,
                "QUANTD_STORE_URL": (self.folder / "store").as_uri(),
                **self._settings,
            }
            self._start("gateway", "-m", "service", "--host", self._host, "--port", str(self._port))
            self._start("worker", "-m", "worker", "--concurrency", str(self._workers))
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
        """Until a process ends by itself.

        Raises:
            StackFailed: it did.
        """
        while True:
            self._check_alive()
            time.sleep(0.5)

    def pid(self, name: str) -> int:
        """The process id of `gateway`, `worker` or `valkey`."""
        if name == "valkey" and self._valkey is not None:
            return self._valkey.process.pid
        return self._processes[name].pid

    def stop(self) -> None:
        """Stop what was started, workers first."""
        for name in ("worker", "gateway"):
            process = self._processes.pop(name, None)
            if process is None:
                continue
            process.terminate()
            try:
                process.wait(timeout=STOPS_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._valkey is not None:
            self._valkey.stop()
            self._valkey = None

    def _start(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, *arguments], env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

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

    def _check_alive(self) -> None:
        for name, process in self._processes.items():
            if process.poll() is not None:
                log = self.folder / f"{name}.log"
                raise StackFailed(f"the {name} ended with status {process.returncode}; its log is {log}")


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
