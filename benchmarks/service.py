"""The overhead of the service: uploads, starts of jobs, many clients, a long queue.

    python benchmarks/service.py [--gigabytes 1] [--jobs 200] [--clients 20] [--records 10000] [--json FILE]

Everything runs on one machine over loopback: the embedded service with one worker, and curl as the client of uploads.
They are compared with an upload to nginx, if it is installed. The output is all figures as JSON, then the figures that
have a target.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import redis

from jobs.job import Job, Status, new_id, now
from jobs.records import Records
from jobs.stack import ADDRESS, Stack

MODEL = Path(__file__).parent.parent / "examples" / "digits.onnx"
SPEC = {"preset": "int8-weights", "measure": {"latency": False}}
HEAD = b"\x08\x08"
"""The first bytes of an ONNX file, which are all that the gateway checks."""
NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off; client_max_body_size 0; client_body_temp_path {folder}/body;
  server {{ listen 127.0.0.1:{port}; location / {{ root {folder}/files; dav_methods PUT; }} }}
}}
"""


def upload(stack: Stack, folder: Path, gigabytes: float) -> dict[str, Any]:
    """Return the MB/s of one large upload and the gateway's peak memory, beside the MB/s of cp, sha256 and nginx."""
    source, size = folder / "body", int(gigabytes * 1e9)
    with source.open("wb") as file:
        for number in range(size // 1_000_000):
            file.write(HEAD + os.urandom(999_998) if number == 0 else os.urandom(1_000_000))
    peak_before = _peak_mb(stack.pid("gateway"))
    rates = {
        "cp_then_sha256": _rate(size, lambda: _copied(source, folder / "copy")),
        "gateway": _rate(size, lambda: _posted(source, f"{stack.url}/v1/models", "POST", stack.url)),
    }
    if shutil.which("nginx"):
        with _nginx(folder / "nginx") as url:
            rates["nginx_put"] = _rate(size, lambda: _posted(source, f"{url}/body", "PUT", None))
    return {
        "megabytes": size // 1_000_000,
        "megabytes_per_second": rates,
        "gateway_to_nginx": rates["gateway"] / rates["nginx_put"] if "nginx_put" in rates else None,
        "gateway_peak_mb": {"before": peak_before, "after": _peak_mb(stack.pid("gateway"))},
    }


def gateway(stack: Stack, folder: Path, times: int = 5) -> dict[str, Any]:
    """Return the seconds from the start of a gateway to its first answer, and its processor seconds."""
    environment = {
        **os.environ,
        "QUANTD_REDIS_URL": (stack.folder / ADDRESS).read_text(),
        "QUANTD_STORE_URL": (stack.folder / "store").as_uri(),
    }
    answered, worked = [], []
    for _ in range(times):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = str(free.getsockname()[1])
        begun = time.perf_counter()
        with (folder / "gateway.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "service", "--port", port], env=environment, stdout=log, stderr=log
            )
        while not _answers(f"http://127.0.0.1:{port}/livez"):
            time.sleep(0.005)
        answered.append(time.perf_counter() - begun)
        process.terminate()
        worked.append(sum(os.wait4(process.pid, 0)[2][:2]))
    return {"starts": times, "seconds": _spread(answered), "processor_seconds": _spread(worked)}


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def start(client: httpx.Client, records: redis.Redis, body: dict[str, Any], jobs: int, idle_s: float) -> dict[str, Any]:
    """Return the milliseconds from the record of a job to its claim, and to the first event of its process.

    Each job is submitted `idle_s` seconds after the end of the previous one.
    """
    claimed, working = [], []
    for _ in range(jobs):
        job = client.post("/v1/jobs", json=_fresh(body), headers={"Prefer": "wait=60"}).json()
        times = _event_times(records, job["id"])
        claimed.append(times["running"] - times["queued"])
        working.append(times["progress"] - times["queued"])
        time.sleep(idle_s)
    return {"jobs": jobs, "claimed_ms": _spread(claimed), "working_ms": _spread(working)}


def crowd(client: httpx.Client, body: dict[str, Any], jobs: int, clients: int) -> dict[str, Any]:
    """Return jobs per second, and seconds from a job's submission to its end, with many clients at once."""

    def run_job(_: int) -> tuple[float, str]:
        begun = time.perf_counter()
        job = client.post("/v1/jobs", json=_fresh(body), headers={"Prefer": "wait=60"}).json()
        while job["status"] in ("queued", "running"):
            job = client.get(f"/v1/jobs/{job['id']}", headers={"Prefer": "wait=60"}).json()
        return time.perf_counter() - begun, job["status"]

    begun = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        ends = list(pool.map(run_job, range(jobs)))
    seconds = time.perf_counter() - begun
    return {
        "jobs": jobs, "clients": clients, "jobs_per_second": jobs / seconds,
        "share": sum(status == "succeeded" for _, status in ends) / jobs,
        "seconds": _spread([took for took, _ in ends]),
    }  # fmt: skip


def long_queue(stack: Stack, client: httpx.Client, body: dict[str, Any], count: int) -> dict[str, Any]:
    """Return the milliseconds of a list and of a submission with many queued jobs; the worker is stopped meanwhile."""
    records = Records((stack.folder / ADDRESS).read_text())
    os.kill(stack.pid("worker"), signal.SIGSTOP)
    for _ in range(count):
        job = Job(id=new_id("job"), tenant="default", status=Status.QUEUED, created_at=now(), **_fresh(body))
        records.mark_archived(records.create_job(job))  # the gateway shall not write the documents while it is measured
    listed = [_milliseconds(lambda: client.get("/v1/jobs", params={"limit": 20})) for _ in range(200)]
    submitted = [_milliseconds(lambda: client.post("/v1/jobs", json=_fresh(body))) for _ in range(200)]
    return {"records": count, "list_ms": _spread(listed), "submit_ms": _spread(submitted)}


def _fresh(body: dict[str, Any]) -> dict[str, Any]:
    """Return the job with a new seed, so that the cache does not answer it."""
    return {**body, "spec": {**body["spec"], "seed": int.from_bytes(os.urandom(3), "big")}}


def _event_times(records: redis.Redis, job_id: str) -> dict[str, int]:
    """Return the times, in milliseconds, of a job's record, its claim and the first event of its process."""
    times: dict[str, int] = {}
    entries: Any = records.xrange(f"qd:job:{job_id}:events")
    for entry, fields in entries:
        name = json.loads(fields["data"])["status"] if fields["event"] == "state" else fields["event"]
        times.setdefault(name, int(entry.split("-")[0]))
    return times


def _spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "p50": round(statistics.median(ordered), 3),
        "p99": round(ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)], 3),
        "max": round(ordered[-1], 3),
    }


def _rate(size: int, call: Callable[[], None]) -> float:
    """Return the MB/s of the best of three runs."""
    return round(size / 1e6 / (min(_milliseconds(call) for _ in range(3)) / 1e3), 1)


def _milliseconds(call: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - begun)


def _copied(source: Path, target: Path) -> None:
    subprocess.run(["cp", source, target], check=True)
    with target.open("rb") as file:
        hashlib.file_digest(file, "sha256")


def _posted(source: Path, url: str, method: str, service: str | None) -> None:
    """Upload a file and delete it again, so that each upload is the first of its bytes."""
    answer = subprocess.run(
        ["curl", "--silent", "--fail", "--request", method, "--upload-file", source, "--header", "Expect:", url],
        check=True, stdout=subprocess.PIPE,
    ).stdout  # fmt: skip
    if service is not None:
        httpx.delete(f"{service}/v1/models/{json.loads(answer)['id']}", timeout=60).raise_for_status()


@contextmanager
def _nginx(folder: Path) -> Iterator[str]:
    (folder / "files").mkdir(parents=True)
    folder.chmod(0o777)
    (folder / "files").chmod(0o777)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "conf").write_text(NGINX.format(folder=folder, port=port))
    process = subprocess.Popen(["nginx", "-c", folder / "conf"], stderr=subprocess.DEVNULL)
    time.sleep(1)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@dataclass(frozen=True)
class Target:
    """The target of a figure: at most, or at least, `bound`; `path` leads to the figure in the results."""

    what: str
    path: str
    bound: float
    at_least: bool = False

    def row(self, results: dict[str, Any]) -> str:
        value = results
        for name in self.path.split("."):
            value = value[name]
        if value is None:
            return f"{self.what:<62}{'not measured':>14}"
        met = value >= self.bound if self.at_least else value <= self.bound
        sense = "at least" if self.at_least else "at most"
        return f"{self.what:<62}{value:>14.3f}  {sense} {self.bound:g}: {'met' if met else 'MISSED'}"


TARGETS = (
    Target("upload of one large body, share of nginx PUT's rate", "upload.gateway_to_nginx", 0.6, at_least=True),
    Target("gateway's peak memory with it, MB", "upload.gateway_peak_mb.after", 150),
    Target("gateway's first answer, s, median", "gateway.seconds.p50", 1),
    Target("submission to the first word of the job, idle, ms, median", "start.idle.working_ms.p50", 100),
    Target("the same, ms, worst", "start.idle.working_ms.max", 500),
    Target("the same, each right after the last, ms, median", "start.succession.working_ms.p50", 100),
    Target("the same, ms, worst", "start.succession.working_ms.max", 500),
    Target("share of the jobs of many clients that ended well", "crowd.share", 1, at_least=True),
    Target("list with a long queue, ms, p99", "long_queue.list_ms.p99", 20),
    Target("submission with a long queue, ms, p99", "long_queue.submit_ms.p99", 20),
)


def _peak_mb(pid: int) -> float:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return round(int(line.split()[1]) / 1e3, 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--gigabytes", type=float, default=1)
    parser.add_argument("--starts", type=int, default=30)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        Stack(Path(folder, "state")) as stack,
        httpx.Client(base_url=stack.url, timeout=90) as client,
    ):
        Path(folder).chmod(0o755)
        model = client.post("/v1/models", content=MODEL.read_bytes()).json()["id"]
        body = {"model": model, "spec": SPEC}
        results = {"upload": upload(stack, Path(folder), options.gigabytes)}
        records = redis.Redis.from_url((stack.folder / ADDRESS).read_text(), decode_responses=True)
        results["gateway"] = gateway(stack, Path(folder))
        results["start"] = {
            "idle": start(client, records, body, options.starts, idle_s=1.0),
            "succession": start(client, records, body, options.starts, idle_s=0.0),
        }
        results["crowd"] = crowd(client, body, options.jobs, options.clients)
        results["long_queue"] = long_queue(stack, client, body, options.records)
    print(json.dumps(results, indent=1))
    print("", *(target.row(results) for target in TARGETS), sep="\n")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
