"""A service whose processes can be killed, stopped and restarted one by one, at the same addresses."""

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

import httpx
import redis

from jobs.process import start, stop
from jobs.valkey import server_binary

WITHIN_S = 60.0


class Cluster:
    """Gateways, workers and a Valkey, used as `with Cluster(folder, lease_s=2) as cluster:`."""

    def __init__(self, folder: Path, workers: int = 1, gateways: int = 1, **settings: str) -> None:
        self.folder = folder
        self._sockets = tempfile.mkdtemp(prefix="qd-")
        self._redis_url = f"unix://{self._sockets}/valkey.sock?db=0"
        self.ports = [free_port() for _ in range(gateways)]
        self.url = f"http://127.0.0.1:{self.ports[0]}"
        python = [sys.executable, "-P", "-m"]
        self._commands = {
            "valkey": [
                str(server_binary()), "--port", "0", "--unixsocket", f"{self._sockets}/valkey.sock",
                "--dir", str(folder), "--appendonly", "yes", "--appendfsync", "always", "--save", "",
            ],
            **{
                f"gateway{n or ''}": [*python, "service", "--port", str(port)] for n, port in enumerate(self.ports)
            },
            **{f"worker{n}": [*python, "worker"] for n in range(1, workers + 1)},
        }  # fmt: skip
        self.environment = {
            **os.environ,
            "QUANTD_REDIS_URL": self._redis_url,
            "QUANTD_STORE_URL": (folder / "store").as_uri(),
            **{f"QUANTD_{name.upper()}": value for name, value in settings.items()},
        }
        self.processes = {}
        self.http = httpx.Client(base_url=self.url, timeout=70)

    def __enter__(self):
        self.start(*self._commands)
        self.wait_ready()
        return self

    def __exit__(self, *_):
        for name in reversed(self._commands):
            if name in self.processes:
                stop(self.processes.pop(name))
        self.http.close()
        shutil.rmtree(self._sockets, ignore_errors=True)

    @property
    def names(self):
        return list(self._commands)

    @property
    def gateways(self):
        return [name for name in self._commands if name.startswith("gateway")]

    @property
    def workers(self):
        return [name for name in self._commands if name.startswith("worker")]

    def redis(self):
        return redis.Redis.from_url(self._redis_url, decode_responses=True)

    def start(self, *names: str) -> None:
        for name in names:
            self.processes[name] = start(self._commands[name], self.folder / f"{name}.log", self.environment)

    def kill(self, *names: str) -> None:
        """As the kernel does when there is no memory: no process gets to say a word."""
        for name in names:
            process = self.processes.pop(name)
            process.kill()
            process.wait()

    def terminate(self, *names: str) -> list[int]:
        """Ask them to end at the same time; their exit statuses."""
        processes = [self.processes.pop(name) for name in names]
        for process in processes:
            process.terminate()
        return [process.wait(WITHIN_S) for process in processes]

    def wait_ready(self) -> None:
        until(lambda: self._ready(), "the service to be ready")

    def _ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return all(self.http.get(f"http://127.0.0.1:{port}/readyz").status_code == 200 for port in self.ports)
        return False

    def upload(self, kind: str, path: Path) -> str:
        return self.http.post(f"/v1/{kind}s", content=path.read_bytes()).json()["id"]

    def submit(self, **body) -> dict:
        """Submit a job that is run, even though its like was run before."""
        response = self.http.post("/v1/jobs", json=body, headers={"Cache-Control": "no-cache"})
        assert response.status_code == 202, response.text
        return response.json()

    def job(self, job: dict) -> dict:
        return self.http.get(f"/v1/jobs/{job['id']}").json()

    def ended(self, job: dict) -> dict:
        until(lambda: self.job(job)["finished_at"], f"the end of {job['id']}")
        return self.job(job)

    def states(self, job: dict) -> list[str]:
        """Every state that the job's events tell of, in order."""
        entries = self.redis().xrange(f"qd:job:{job['id']}:events")
        return [fields["data"].split('"')[3] for _, fields in entries if fields["event"] == "state"]

    def busy(self, worker: str = "worker1") -> int:
        """The process of the job that a worker is at, as soon as there is one."""
        return until(lambda: self.busy_now(worker), "a job's process", every_s=0.005)

    def busy_now(self, worker: str) -> int | None:
        with contextlib.suppress(OSError, KeyError):
            pid = self.processes[worker].pid
            for task in Path(f"/proc/{pid}/task").iterdir():
                for child in (task / "children").read_text().split():
                    if Path(f"/proc/{child}/cwd/model").exists():
                        return int(child)
        return None

    def hold(self, worker: str = "worker1") -> int:
        """Stop the process of the job where it is, so that the job runs until it is told to go on."""
        pid = self.busy(worker)
        os.kill(pid, signal.SIGSTOP)
        return pid


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def until(look, what, within_s=WITHIN_S, every_s=0.02):
    """Return the first true value of `look`."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(every_s)
    raise TimeoutError(f"waited {within_s:.0f} s for {what}")


def assert_sound(cluster, job, attempts=1):
    """Check that the job succeeded, ended once, and that its artifacts match their digests."""
    assert (job["status"], job["error"], job["attempt"]) == ("succeeded", None, attempts)
    assert cluster.states(job) == ["queued", *["running"] * attempts, "succeeded"]
    items = cluster.http.get(job["links"]["artifacts"]).json()["items"]
    assert items
    for item in items:
        content = cluster.http.get(item["url"]).content
        assert (len(content), hashlib.sha256(content).hexdigest()) == (item["size"], item["sha256"])
