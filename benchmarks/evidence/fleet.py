"""A fleet of workers: throughput, queue age by tenant, cost and the first bottleneck, up to a million jobs a day.

A real run of two gateways and four workers on this machine measures the processor time that a job takes in each part.
A simulation with these figures, and with the job times and model sizes of real networks, shows larger fleets. The
simulation of the real run is compared with it.
"""

import json
import math
import os
import tempfile
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import simpy

from benchmarks.child import ROOT
from benchmarks.coverage_page import OURS
from benchmarks.evidence.plots import lines
from benchmarks.evidence.study import Row, Table, environment_of, table
from benchmarks.networks import DATA
from tests.e2e.faults.cluster import Cluster

KEYS = ("kind", "jobs_per_day", "workers", "gateways")
SPEC = {"preset": "int8-weights", "measure": {"latency": False}}
CLIENTS = 8
PARTS = ("gateways", "records", "store", "workers")
STORE_BYTES_PER_S = 1.25e9
"""Assumed bandwidth of the object store: 10 Gbit/s."""
WORKER_PROCESSORS = 2
PROCESSOR_HOUR = 0.04
"""Assumed price of a processor for an hour, in dollars."""
SMALL_TENANTS = 20
BATCH = 1000
"""Jobs that the large tenant, who has half of all jobs, submits at once."""
HOURS = 2.0
Events = Generator[simpy.Event, Any, None]


@dataclass(frozen=True)
class Work:
    """The work of one job: seconds of a worker, a gateway and the record store, and bytes to and from the store."""

    worker_s: float
    gateway_s: float
    records_s: float
    stored_bytes: float


@dataclass
class Fleet:
    """The parts of a simulated fleet, and what it measures.

    Attributes:
        busy: the seconds that each part worked.
        waits: the seconds from submission to start of each job, by the kind of tenant.
    """

    environment: simpy.Environment
    workers: int
    gateways: int
    processors: int | None = None
    busy: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    waits: dict[str, list[float]] = field(default_factory=lambda: {"large": [], "small": []})
    ended: int = 0

    def __post_init__(self) -> None:
        self.queues: dict[str, deque[tuple[float, Work, simpy.Event]]] = {}
        self.turns: deque[str] = deque()
        self.waiting: deque[simpy.Event] = deque()
        self.resources = {
            "gateways": simpy.Resource(self.environment, self.gateways),
            "records": simpy.Resource(self.environment, 1), "store": simpy.Resource(self.environment, 1),
        }  # fmt: skip
        self.shared = simpy.Resource(self.environment, self.processors) if self.processors else None
        for _ in range(self.workers):
            self.environment.process(self._work())

    def use(self, part: str, seconds: float) -> Events:
        """Hold a part for some seconds, and a processor if all parts share them."""
        with self.resources[part].request() as turn:
            yield turn
            yield from self._processor(part, seconds)

    def _processor(self, part: str, seconds: float) -> Events:
        self.busy[part] += seconds
        if self.shared is None or part == "store":
            yield self.environment.timeout(seconds)
            return
        with self.shared.request() as turn:
            yield turn
            yield self.environment.timeout(seconds)

    def submit(self, tenant: str, work: Work) -> Generator[simpy.Event, Any, simpy.Event]:
        """Submit a job: the gateway and the record store work, and the model goes to the store; return its end."""
        yield from self.use("gateways", work.gateway_s)
        yield from self.use("store", work.stored_bytes / 2 / STORE_BYTES_PER_S)
        yield from self.use("records", work.records_s)
        if tenant not in self.queues:
            self.queues[tenant] = deque()
        if not self.queues[tenant]:
            self.turns.append(tenant)
        end = self.environment.event()
        self.queues[tenant].append((self.environment.now, work, end))
        if self.waiting:
            self.waiting.popleft().succeed()
        return end

    def _work(self) -> Events:
        """Take jobs for ever, one tenant after the other."""
        while True:
            while not self.turns:
                event = self.environment.event()
                self.waiting.append(event)
                yield event
            tenant = self.turns.popleft()
            submitted, work, end = self.queues[tenant].popleft()
            if self.queues[tenant]:
                self.turns.append(tenant)
            kind = "large" if tenant == "large" else "small"
            self.waits[kind].append(self.environment.now - submitted)
            yield from self.use("store", work.stored_bytes / 2 / STORE_BYTES_PER_S)
            yield from self._processor("workers", work.worker_s)
            self.ended += 1
            end.succeed()


def run(path: Path, *, quick: bool) -> None:
    """Measure the study into the CSV file `path`."""
    jobs = 60 if quick else 2000
    Table(path, KEYS).measure([("run", 0, 4, 2)], lambda *_: [_real(jobs, workers=4, gateways=2)])
    (real,) = (row for row in Table(path, KEYS).rows() if row["kind"] == "run")
    Table(path, KEYS).measure([("simulated run", 0, 4, 2)], lambda *_: [_simulated_run(real)])
    works = list(_mix(real))
    mean = float(np.mean([work.worker_s for work in works]))
    cases = []
    for per_day in (10_000, 100_000) if quick else (1_000, 10_000, 100_000, 300_000, 1_000_000):
        for load in (0.5, 0.8, 0.95):
            workers = max(1, math.ceil(per_day / 86_400 * mean / load))
            case = ("simulation", per_day, workers, max(2, math.ceil(per_day / 300_000)))
            cases += [case] if case not in cases else []
    Table(path, KEYS).measure(cases, lambda _, *sizes: [_simulated(works, *sizes)])


def _real(jobs: int, workers: int, gateways: int) -> Row:
    """Run jobs on this machine; return their rate, and the processor seconds that a job takes in each part."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Cluster(Path(folder), workers=workers, gateways=gateways, key_rate="1000000") as cluster,
    ):
        model = cluster.upload("model", ROOT / "examples" / "digits.onnx")
        urls = cycle(f"http://127.0.0.1:{port}" for port in cluster.ports)
        before = {part: _processor_s(cluster, part) for part in ("gateways", "records", "workers")}
        begun = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as pool:
            waits = list(pool.map(_run_job, range(jobs), [next(urls) for _ in range(jobs)], [model] * jobs))
        seconds = time.perf_counter() - begun
        used = {f"{part}_s": (_processor_s(cluster, part) - before[part]) / jobs for part in before}
    sizes = {"gateways": gateways, "records": 1, "workers": workers}
    busy = {part: used[f"{part}_s"] * jobs / seconds / sizes[part] for part in sizes}
    return {
        "jobs": jobs, "jobs_per_s": jobs / seconds, **{f"busy_{part}": busy.get(part, math.nan) for part in PARTS},
        **used, "stored_bytes": 0.0, **_waits("large", []), **_waits("small", waits),
    }  # fmt: skip


def _run_job(number: int, url: str, model: str) -> float:
    """Run one job; return the seconds that it waited."""
    with httpx.Client(base_url=url, timeout=120) as client:
        body = {"model": model, "spec": {**SPEC, "seed": number}}
        job = client.post("/v1/jobs", json=body, headers={"Prefer": "wait=60"}).json()
        while job["finished_at"] is None:
            job = client.get(f"/v1/jobs/{job['id']}", headers={"Prefer": "wait=60"}).json()
    times = [np.datetime64(job[name].rstrip("Z")) for name in ("created_at", "started_at")]
    return float((times[1] - times[0]) / np.timedelta64(1, "s"))


def _processor_s(cluster: Cluster, part: str) -> float:
    """Return the processor seconds of a part's processes and of all that they started."""
    names = {"gateways": cluster.gateways, "workers": cluster.workers, "records": ["valkey"]}[part]
    tree: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        pid = int(stat.parent.name)
        tree.setdefault(int(fields[1]), []).append(pid)
        used[pid] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    pending, total = [cluster.processes[name].pid for name in names], 0.0
    while pending:
        pid = pending.pop()
        total += used.get(pid, 0.0)
        pending += tree.get(pid, [])
    return total


def _work_of(row: Row, worker_s: float, stored_bytes: float) -> Work:
    return Work(worker_s, float(row["gateways_s"]), float(row["records_s"]), stored_bytes)


def _simulated_run(real: Row) -> Row:
    """Return the simulation of the real run: all parts share the processors of this machine."""
    environment = simpy.Environment()
    fleet = Fleet(environment, 4, 2, processors=len(os.sched_getaffinity(0)))
    work = _work_of(real, float(real["workers_s"]), 0.0)

    def client(jobs: int) -> Events:
        for _ in range(jobs):
            yield (yield from fleet.submit("small", work))

    jobs = int(real["jobs"])
    for _ in range(CLIENTS):
        environment.process(client(jobs // CLIENTS))
    environment.run()
    return _row(fleet, environment.now, work)


def _mix(real: Row) -> Iterator[Work]:
    """Yield the work of one job of each network: the processor time of `int8`, and the bytes of model and artifacts."""
    overhead = float(real["workers_s"])
    for row in json.loads((ROOT / "docs" / "coverage.json").read_text())["rows"]:
        path = next(DATA.glob(f"*/{row['model']}"), None)
        if row["tool"] == f"{OURS}int8" and path is not None:
            yield _work_of(real, overhead + row["seconds"], 2.5 * path.stat().st_size)


def _simulated(works: Sequence[Work], per_day: int, workers: int, gateways: int) -> Row:
    """Return the figures of a fleet after `HOURS` with this number of jobs a day."""
    environment = simpy.Environment()
    fleet = Fleet(environment, workers, gateways)
    random = np.random.default_rng(0)
    rate = per_day / 86_400

    def arrive(tenant: str, rate: float, batch: int) -> Events:
        while True:
            yield environment.timeout(float(random.exponential(batch / rate)))
            for number in random.integers(len(works), size=batch):
                environment.process(fleet.submit(tenant, works[number]))

    environment.process(arrive("large", rate / 2, min(BATCH, max(1, per_day // 100))))
    for number in range(SMALL_TENANTS):
        environment.process(arrive(f"tenant {number}", rate / 2 / SMALL_TENANTS, 1))
    seconds = HOURS * 3600
    environment.run(until=seconds)
    means = np.mean([astuple(work) for work in works], axis=0)
    return _row(fleet, seconds, Work(*map(float, means)))


def _row(fleet: Fleet, seconds: float, work: Work) -> Row:
    """Return the figures of a simulated fleet; `work` is that of a job in the mean."""
    sizes = {"gateways": fleet.gateways, "records": 1, "store": 1, "workers": fleet.workers}
    return {
        "jobs": fleet.ended, "jobs_per_s": fleet.ended / seconds,
        **{f"busy_{part}": fleet.busy[part] / seconds / sizes[part] for part in PARTS},
        "gateways_s": work.gateway_s, "records_s": work.records_s, "workers_s": work.worker_s,
        "stored_bytes": work.stored_bytes, **_waits("large", fleet.waits["large"]),
        **_waits("small", fleet.waits["small"]),
    }  # fmt: skip


def _waits(kind: str, waits: Sequence[float]) -> dict[str, float]:
    values = np.percentile(waits, (50, 95, 99)) if len(waits) else np.full(3, np.nan)
    return {f"{kind}_p{share}": float(value) for share, value in zip((50, 95, 99), values, strict=True)}


def page(path: Path) -> str:
    """Return the page of the study in Markdown."""
    rows = Table(path, KEYS).rows()
    real, simulated = (next(row for row in rows if row["kind"] == kind) for kind in ("run", "simulated run"))
    fleets = [row for row in rows if row["kind"] == "simulation"]
    header = (
        "jobs a day", "workers", "gateways", "jobs/s", "small tenants wait (50, 95, 99 %)", "large tenant waits",
        "busy: workers", "gateways", "records", "store", "cost of 1,000 jobs",
    )  # fmt: skip
    cells = [
        (
            f"{row['jobs_per_day']:,}", row["workers"], row["gateways"], float(row["jobs_per_s"]),
            *(", ".join(f"{row[f'{kind}_p{share}']:.3g}" for share in (50, 95, 99)) for kind in ("small", "large")),
            *(f"{row[f'busy_{part}']:.1%}" for part in ("workers", "gateways", "records", "store")),
            f"${1000 * row['workers'] * WORKER_PROCESSORS * PROCESSOR_HOUR / 3600 / row['jobs_per_s']:.2f}",
        )
        for row in fleets
    ]  # fmt: skip
    stored = float(fleets[0]["stored_bytes"])
    introduction = INTRODUCTION.format(
        environment=environment_of(path), jobs=real["jobs"], rate=real["jobs_per_s"], simulated=simulated["jobs_per_s"],
        gateway_ms=1000 * real["gateways_s"], records_ms=1000 * real["records_s"], worker_ms=1000 * real["workers_s"],
        gateway_limit=86_400 / real["gateways_s"], records_limit=86_400 / real["records_s"],
        store_limit=86_400 * STORE_BYTES_PER_S / stored, stored=stored / 1e6,
    )  # fmt: skip
    return f"{introduction}\n\n{table(header, cells)}\n"


def plot(path: Path) -> None:
    """Write the plot of the study beside its CSV file: the wait of small tenants by the load of the workers."""
    rows = [row for row in Table(path, KEYS).rows() if row["kind"] == "simulation"]
    groups = {}
    for per_day in dict.fromkeys(row["jobs_per_day"] for row in rows):
        chosen = [row for row in rows if row["jobs_per_day"] == per_day]
        groups[f"{per_day:,} jobs a day"] = tuple(
            np.array([float(row[name]) for row in chosen]) for name in ("busy_workers", "small_p95")
        )
    lines(path.with_suffix(".svg"), groups, "load of the workers", "wait of small tenants in s (95 %)")


INTRODUCTION = """# A fleet

How many workers a number of jobs a day needs, how long jobs wait, and what gives way first.

**The real run.** {jobs} jobs of the example model on two gateways and four workers, all on one machine
({environment}): {rate:.2f} jobs/s. The simulation of the same run gives {simulated:.2f}. A job takes
{gateway_ms:.0f} ms of a gateway's processor, {records_ms:.1f} ms of Valkey's, and {worker_ms:.0f} ms of a worker's,
including its own work.

**The simulation.** Jobs are those of the networks of [Coverage](../coverage.md) with `preset: int8`, with the processor
time measured there, and move {stored:.0f} MB in the mean to and from the store. One tenant has half of the jobs and
submits them {batch} at once; twenty others have the rest. Every worker has two processors. Assumed are a store of
10 Gbit/s and $0.04 for a processor and hour. Waits are in seconds, from the submission of a job to its start.

**The first bottleneck** is always the workers, whose number is free. Behind them, one gateway's processor serves
{gateway_limit:,.0f} jobs a day, the record store {records_limit:,.0f}, and the object store {store_limit:,.0f}.

![wait by load](fleet.svg)""".replace("{batch}", f"{BATCH:,}")
