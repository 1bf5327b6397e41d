"""The faults of a run: each hits one part of a deployment and is taken away after a while."""

import contextlib
import heapq
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import redis

from benchmarks.reliability.history import Ended, Fault, History
from benchmarks.reliability.proxy import Mode
from benchmarks.reliability.site import GATEWAYS, SKEWED, WORKERS, Site

MOST = 2
"""The number of faults at the same time."""
FREE_BYTES = 64 << 10
"""The bytes that a full disk still has room for: not for a model of the run."""


@dataclass(frozen=True)
class Ongoing:
    """A fault that has begun.

    Attributes:
        target: the process or store that it hits; no other fault hits it meanwhile.
        end: a function that takes the cause away.
        lossy: True if writes that were answered may be lost.
    """

    target: str
    end: Callable[[], None]
    lossy: bool = False


Begin = Callable[[Site, random.Random], Ongoing | None]
"""A function that begins a fault; None if there is nothing that it could hit now."""


@dataclass(frozen=True)
class FaultKind:
    """A kind of fault: its name, the part that it hits, the most seconds that it lasts, and its beginning."""

    name: str
    part: str
    longest_s: float
    begin: Begin


def kill(*names: str) -> Begin:
    """Return a fault that kills a process, which is started again at its end."""

    def begin(site: Site, choose: random.Random) -> Ongoing:
        name = choose.choice(names)
        site.kill(name)
        return Ongoing(name, lambda: site.start(name))

    return begin


def stop(*names: str) -> Begin:
    """Return a fault that stops a process, or with a worker half of the time all processes below it."""

    def begin(site: Site, choose: random.Random) -> Ongoing:
        name = choose.choice(names)
        stopped = [site.processes[name].pid, *(site.children(name) if choose.random() < 0.5 else ())]
        _signal(stopped, signal.SIGSTOP)
        return Ongoing(name, lambda: _signal(stopped, signal.SIGCONT))

    return begin


def hit_child(find: Callable[[Site, str], int | None], number: signal.Signals) -> Begin:
    """Return a fault that signals a process below a worker; a stopped one goes on at its end."""

    def begin(site: Site, choose: random.Random) -> Ongoing | None:
        worker = choose.choice(WORKERS)
        pid = find(site, worker)
        if pid is None:
            return None
        _signal([pid], number)
        return Ongoing(worker, lambda: _signal([pid], signal.SIGCONT))

    return begin


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def store(mode: Mode) -> Begin:
    """Return a fault of the object store."""

    def begin(site: Site, choose: random.Random) -> Ongoing:
        site.store.delay_s = choose.uniform(0.1, 1.0)
        site.store.set_mode(mode)
        return Ongoing("store", lambda: site.store.set_mode("pass"))

    return begin


def kill_records(site: Site, choose: random.Random) -> Ongoing:
    """Kill the primary record store, which is started again with its data."""
    name = site.primary
    site.kill(name)
    return Ongoing("records", lambda: site.start(name))


def stop_records(site: Site, choose: random.Random) -> Ongoing:
    """Stop the primary record store: its connections stay open and silent."""
    pids = [site.processes[site.primary].pid]
    _signal(pids, signal.SIGSTOP)
    return Ongoing("records", lambda: _signal(pids, signal.SIGCONT))


def refuse_writes(begin_with: tuple[str, ...], end_with: tuple[str, ...]) -> Begin:
    """Return a fault in which the primary record store refuses writes, between two of its commands."""

    def begin(site: Site, choose: random.Random) -> Ongoing:
        with site.redis() as primary:
            primary.execute_command(*begin_with)

        def end() -> None:
            with site.redis() as primary:
                primary.execute_command(*end_with)

        return Ongoing("records", end)

    return begin


def fail_over(site: Site, choose: random.Random) -> Ongoing:
    """Promote the replica after the primary was killed or stopped; half of the time the replica lags before."""
    site.wait_replicated()
    if choose.random() < 0.5:
        site.replication.set_mode("hang")
    killed, old = choose.random() < 0.5, site.primary

    def end() -> None:
        process = site.processes[old]
        if killed:
            site.kill(old)
        else:
            process.send_signal(signal.SIGSTOP)
        site.replication.set_mode("pass")
        site.fail_over()
        if killed:
            site.start(old)
        else:
            process.send_signal(signal.SIGCONT)
            site.follow_primary()

    return Ongoing("records", end, lossy=True)


def lose_records(site: Site, choose: random.Random) -> Ongoing:
    """Kill both record stores and delete their data: the next primary is empty."""
    primary, replica = site.primary, site.replica
    for name in (replica, primary):
        site.kill(name)
        shutil.rmtree(site.folder / name)

    def end() -> None:
        site.start(primary, replica)

    return Ongoing("records", end, lossy=True)


def fill_disk(site: Site, choose: random.Random) -> Ongoing | None:
    """Fill the disk for the folders of a worker's jobs."""
    worker = choose.choice(WORKERS)
    if worker not in site.small_disks:
        return None
    filler = site.small_disks[worker] / "filler"
    space = os.statvfs(filler.parent)
    with contextlib.suppress(OSError):
        filler.write_bytes(bytes(max(space.f_bavail * space.f_frsize - FREE_BYTES, 0)))
    return Ongoing(f"{worker} disk", lambda: filler.unlink())


def set_clock(site: Site, choose: random.Random) -> Ongoing | None:
    """Set the clock of a worker up to five minutes ahead or back."""
    if (clock := site.clock) is None:
        return None
    clock.set(choose.choice((-1, 1)) * choose.randint(10, 300))
    return Ongoing(f"{SKEWED} clock", lambda: clock.set(0))


FAULTS = (
    FaultKind("kill gateway", "gateway", 2, kill(*GATEWAYS)),
    FaultKind("stop gateway", "gateway", 8, stop(*GATEWAYS)),
    FaultKind("kill worker", "worker", 2, kill(*WORKERS)),
    FaultKind("stop worker", "worker", 12, stop(*WORKERS)),
    FaultKind("kill job", "worker", 0, hit_child(Site.job_process, signal.SIGKILL)),
    FaultKind("stop job", "worker", 6, hit_child(Site.job_process, signal.SIGSTOP)),
    FaultKind("kill fork server", "worker", 0, hit_child(Site.fork_server, signal.SIGKILL)),
    FaultKind("full disk", "disk", 6, fill_disk),
    FaultKind("worker's clock", "clock", 15, set_clock),
    FaultKind("slow store", "store", 8, store("slow")),
    FaultKind("hanging store", "store", 10, store("hang")),
    FaultKind("cut store", "store", 6, store("cut")),
    FaultKind("kill record store", "records", 3, kill_records),
    FaultKind("stop record store", "records", 12, stop_records),
    FaultKind(
        "READONLY record store", "records", 5,
        refuse_writes(("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    ),
    FaultKind(
        "full record store", "records", 5,
        refuse_writes(("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
    ),
    FaultKind("fail-over", "records", 3, fail_over),
    FaultKind("lost record store", "records", 3, lose_records),
)  # fmt: skip
"""The kinds of faults."""


class Faults:
    """Faults drawn from a seed, which hit a deployment one after the other and side by side.

    Args:
        site: the deployment.
        history: the place of the faults' records.
        choose: the random numbers.
        clock: the seconds since the start of the run.
        every_s: the mean time between two beginnings.
    """

    def __init__(
        self, site: Site, history: History, choose: random.Random, clock: Callable[[], float], every_s: float
    ) -> None:
        self._site, self._history, self._choose, self._clock, self._every_s = site, history, choose, clock, every_s
        self._ongoing: list[tuple[float, int, FaultKind, float, Ongoing]] = []
        self._order: list[FaultKind] = []
        self._begun = 0

    def run(self, go_on: Callable[[], bool]) -> None:
        """Begin and end faults while `go_on` returns True, then end those that last."""
        next_at = self._clock() + self._every_s
        while go_on():
            self._end_due(self._clock())
            self._restart_ended()
            if self._clock() >= next_at and len(self._ongoing) < MOST:
                self._begin()
                next_at = self._clock() + self._every_s * self._choose.uniform(0.5, 1.5)
            time.sleep(0.05)
        self._end_due(float("inf"))

    def _begin(self) -> None:
        """Begin a fault of the next kind; each kind comes once before the first comes again."""
        if not self._order:
            self._order = self._choose.sample(FAULTS, len(FAULTS))
        parts = {kind.part for _, _, kind, _, _ in self._ongoing}
        kind = next((kind for kind in self._order if kind.part not in parts), None)
        if kind is None:
            return
        self._order.remove(kind)
        begun = self._clock()
        try:
            ongoing = kind.begin(self._site, self._choose)
        except (redis.RedisError, TimeoutError) as error:
            raise RuntimeError(f"the fault {kind.name!r} cannot be begun") from error
        if ongoing is None:
            return
        print(f"{begun:7.1f} s {kind.name}: {ongoing.target}", flush=True)
        self._begun += 1
        until = self._clock() + kind.longest_s * self._choose.uniform(0.2, 1)
        heapq.heappush(self._ongoing, (until, self._begun, kind, begun, ongoing))

    def _restart_ended(self) -> None:
        """Start processes again that ended by themselves, as a supervisor does, and note them."""
        for name, process in list(self._site.processes.items()):
            if (code := process.poll()) is not None:
                self._history.add(Ended(self._clock(), name, code))
                self._site.start(name)

    def _end_due(self, now: float) -> None:
        while self._ongoing and self._ongoing[0][0] <= now:
            _, _, kind, begun, ongoing = heapq.heappop(self._ongoing)
            ongoing.end()
            self._history.add(Fault(kind.name, ongoing.target, begun, self._clock(), ongoing.lossy))
