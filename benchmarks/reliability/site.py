"""A deployment on one machine whose every part can be killed, stopped or cut off by itself.

Two gateways, two workers, a record store with a replica, and an S3 server (Swift). The gateways and workers reach the
record store and the object store through proxies, so that a fail-over moves the address of the primary as a load
balancer or a virtual address does: quantd has one `QUANTD_REDIS_URL`.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import redis

import tests.swift
from benchmarks.reliability.clock import Clock, clock
from benchmarks.reliability.proxy import Proxy
from jobs.process import start, stop
from jobs.valkey import server_binary
from tests.swift import Swift

ROOT = Path(__file__).parents[2]
GATEWAYS, WORKERS, STORES = ("gateway1", "gateway2"), ("worker1", "worker2"), ("redis1", "redis2")
SKEWED = "worker2"
"""The worker whose clock is wrong."""
SCRATCH_BYTES = 64 << 20
"""The size of the disk for the folders of a worker's jobs."""
LEASE_S = 5
READY_WITHIN_S = 90.0
SETTINGS = {
    "auth": "required",
    "lease_s": str(LEASE_S),
    "job_timeout_s": "60",
    "key_rate": "1000000",
    "webhook_allow_hosts": "127.0.0.1",
}


class Site:
    """The processes of a deployment below `folder`, used as `with Site(folder) as site:`.

    Enter it and start processes in one thread that lives as long as they do: they end with it.

    Attributes:
        gateways: the address of each gateway, by its name.
        primary: the name of the record store that takes writes.
        small_disks: the folder of each worker's disk that can be filled; empty where none can be mounted.
        clock: the clock of the worker `SKEWED`; None without a C compiler.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gateways = {name: f"http://127.0.0.1:{free_port()}" for name in GATEWAYS}
        self.primary, self.replica = STORES
        self.small_disks: dict[str, Path] = {}
        self.clock: Clock | None = None
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._ports = {name: free_port() for name in STORES}
        self._swift = Swift(folder / "swift")

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as entered:
            self._enter(entered)
            self._entered = entered.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered.close()

    def _enter(self, entered: contextlib.ExitStack) -> None:
        (self.folder / "swift").mkdir(parents=True)
        self.clock = clock(self.folder)
        tests.swift.STARTS_WITHIN_S = READY_WITHIN_S
        self._swift.__enter__()
        entered.callback(self._swift.__exit__)
        self.store = Proxy(int(self._swift.endpoint.rsplit(":")[-1]))
        self.records = Proxy(self._ports[self.primary])
        self.replication = Proxy(self._ports[self.primary])
        for proxy in (self.store, self.records, self.replication):
            entered.callback(proxy.close)
        for name in WORKERS:
            if (disk := _small_disk(self.folder / f"{name}-scratch")) is not None:
                self.small_disks[name] = disk
                entered.callback(_unmount, disk)
        self.environment = self._environment()
        entered.callback(self._stop)
        self.start(*STORES)
        wait_for(lambda: self._answers(self.primary) and self._answers(self.replica), "the record stores")
        self.start(*GATEWAYS, *WORKERS)
        self.wait_ready()

    def _stop(self) -> None:
        for name in (*WORKERS, *GATEWAYS, *STORES):
            if name in self.processes:
                process = self.processes.pop(name)
                process.send_signal(signal.SIGCONT)
                stop(process)

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            **self._swift.environment,
            "AWS_ENDPOINT": f"http://127.0.0.1:{self.store.port}",
            "PYTHONPATH": str(ROOT),
            "QUANTD_REDIS_URL": self.redis_url,
            "QUANTD_STORE_URL": self._swift.url,
            **{f"QUANTD_{name.upper()}": value for name, value in SETTINGS.items()},
        }

    @property
    def redis_url(self) -> str:
        """The address of the primary, wherever it is."""
        return f"redis://127.0.0.1:{self.records.port}/0"

    @property
    def store_url(self) -> str:
        """The address of the objects."""
        return self._swift.url

    def redis(self, name: str | None = None) -> redis.Redis:
        """Return a connection to a record store itself, to the primary if no name is given."""
        return redis.Redis(port=self._ports[name or self.primary], decode_responses=True, socket_timeout=10)

    def start(self, *names: str) -> None:
        """Start processes."""
        for name in names:
            log = self.folder / f"{name}.log"
            self.processes[name] = start(self._command(name), log, self._environment_of(name))

    def kill(self, name: str) -> None:
        """Kill a process as the kernel does, also if it is stopped."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def wait_ready(self) -> None:
        """Wait until both gateways say that they are ready and both workers have announced themselves."""
        wait_for(lambda: all(self._ready(url) for url in self.gateways.values()), "the gateways", READY_WITHIN_S)

    def fail_over(self) -> None:
        """Make the replica the primary and move the address to it; the old primary is down or stopped."""
        self.primary, self.replica = self.replica, self.primary
        with self.redis() as promoted:
            promoted.replicaof("NO", "ONE")
        self.records.point_at(self._ports[self.primary])
        self.replication.point_at(self._ports[self.primary])

    def follow_primary(self) -> None:
        """Make the other record store a replica of the primary, and wait until it is started."""
        wait_for(lambda: self._answers(self.replica), "the replica")
        with self.redis(self.replica) as other:
            other.replicaof("127.0.0.1", self.replication.port)

    def wait_replicated(self) -> None:
        """Wait until the replica has the data of the primary, so that a fail-over loses at most what comes later."""
        wait_for(self._replicated, "the replica to have the data of the primary")

    def _replicated(self) -> bool:
        with contextlib.suppress(redis.RedisError), self.redis(self.replica) as replica, self.redis() as primary:
            state = replica.info("replication")
            behind = primary.info("replication")["master_repl_offset"] - state["slave_repl_offset"]
            return bool(state["master_link_status"] == "up" and behind < 10_000)
        return False

    def _answers(self, name: str) -> bool:
        with contextlib.suppress(redis.RedisError), self.redis(name) as client:
            return bool(client.ping())
        return False

    def _ready(self, url: str) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            answer = httpx.get(f"{url}/readyz", timeout=5)
            return answer.status_code == 200 and len(answer.json()["workers"]) >= len(WORKERS)
        return False

    def _command(self, name: str) -> list[str | Path]:
        if name in STORES:
            folder = self.folder / name
            folder.mkdir(exist_ok=True)
            following = ["--replicaof", "127.0.0.1", str(self.replication.port)] if name == self.replica else []
            return [
                server_binary(), "--port", str(self._ports[name]), "--bind", "127.0.0.1", "--dir", folder,
                "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--repl-diskless-sync-delay", "0",
                "--maxmemory-policy", "noeviction", *following,
            ]  # fmt: skip
        python: list[str | Path] = [sys.executable, "-P", "-m"]
        if name in GATEWAYS:
            return [*python, "service", "--port", self.gateways[name].rsplit(":")[-1]]
        return [*python, "worker"]

    def _environment_of(self, name: str) -> dict[str, str]:
        disk = {"TMPDIR": str(self.small_disks[name])} if name in self.small_disks else {}
        skew = self.clock.environment if name == SKEWED and self.clock is not None else {}
        return {**self.environment, **disk, **skew}

    # Processes of jobs

    def children(self, worker: str) -> Iterator[int]:
        """Yield the processes below a worker, the nearest first."""
        level = [self.processes[worker].pid] if worker in self.processes else []
        while level:
            level = [child for pid in level for child in _children(pid)]
            yield from level

    def job_process(self, worker: str) -> int | None:
        """Return the process of a job of this worker, or None if none runs."""
        for pid in self.children(worker):
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/cwd/model").exists():
                    return pid
        return None

    def fork_server(self, worker: str) -> int | None:
        """Return the process that forks those of jobs, or None if it does not run."""
        jobs = {self.job_process(worker)}
        for pid in self.children(worker):
            with contextlib.suppress(OSError):
                if pid not in jobs and b"worker.forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
        return None


def wait_for(look: Callable[[], object], what: str, within_s: float = 60.0) -> None:
    """Wait until a function returns something true.

    Raises:
        TimeoutError: it does not within `within_s` seconds.
    """
    deadline = time.monotonic() + within_s
    while not look():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {within_s:g} s for {what}")
        time.sleep(0.05)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        texts = [(task / "children").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
        return [int(child) for text in texts for child in text.split()]
    return []


def _small_disk(folder: Path) -> Path | None:
    """Mount a small disk at `folder` and return it; None without the permission."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SCRATCH_BYTES}", "tmpfs", str(folder)]
    return folder if subprocess.run(mount, check=False, capture_output=True).returncode == 0 else None


def _unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", str(folder)], check=False)
