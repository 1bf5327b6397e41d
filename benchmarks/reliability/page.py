"""The page docs/reliability.md: what was promised, what was done to the service, and what came of it.

`benchmarks/chaos.py` writes it from docs/reliability.json.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
INTRODUCTION = """# Reliability

A deployment under random faults, checked from outside against the contract, and the attacks that broke the service
once. Written by `benchmarks/chaos.py`, which keeps the figures in `docs/reliability.json`.

Two gateways and two workers, each with one job at a time, share a Redis with a replica and an S3 server (OpenStack
Swift) on one machine: {environment}.
Three tenants submit small jobs and follow them, cancel some, repeat requests with the same idempotency key, upload
datasets, and ask for each other's objects. They send each request to the next gateway, and again if there is no answer
or a 503. Leases last {lease_s:g} s instead of 60.

Faults are drawn from a seed, at most two at a time:

- gateways, workers, jobs' processes, fork servers and Redis are killed (SIGKILL) and started again, or stopped
  (SIGSTOP) for up to 12 s, a worker with all its processes half of the time;
- the primary Redis is killed or stopped and its replica promoted, which half of the time lags by up to 3 s; the address
  of the primary moves, as a load balancer or a virtual address moves it, since quantd has one `QUANTD_REDIS_URL`;
- both are killed and their data is deleted;
- Redis answers READONLY or OOM; the object store is slow, hangs or cuts connections (a TCP proxy);
- the disk of a worker's jobs is full (a tmpfs of 64 MiB); the clock of a worker is up to five minutes ahead or back (a
  preloaded library changes the time of day, `benchmarks/reliability/clock.c`).
"""
RUNS = """
## Runs

The seconds of a job are the median and the worst, from its acceptance until a caller sees its end. They grow with the
other work of the machine and with the share of the time in which a store is away.
"""
FAULTS = """
## Faults

The seconds from the end of a fault, when its cause is taken away, until both gateways say that they are ready, and
until the next job ends. The machine was busy with other work.
"""
PROMISES = """
## Promises

Each promise is checked on the history that the callers saw. Its checker is tested with a planted violation
(`tests/benchmarks/`).
"""
FOUND = """
## Found by these runs

Each was mended with a test that fails without the change. The violations above are of runs before the last of these
changes:

- a worker ended with status 0 while Redis was READONLY or full, when it acknowledged a message
  (`tests/e2e/faults/test_unavailable_stores.py`);
- a stream of events ended as if the job had, when Redis was away, when the job ended between two looks, and when Redis
  was emptied (`tests/service/jobs/test_following.py`, `tests/e2e/faults/test_kills.py`);
- a job ended 275 s before its start, by the clock of its worker (`tests/jobs/records/test_job_states.py`);
- a full disk was `export.invalid` while the executed graph was written (`tests/quant/test_runtime.py`);
- a job that had succeeded was lost: Redis was emptied while its document was written, so it was taken for deleted
  (`tests/jobs/test_archive.py`);
- an upload in parts that failed, and whose abort was answered by 404, ended an attempt, and was a 500 of a gateway
  (`tests/jobs/test_blobs.py`);
- a worker whose disk was full failed the jobs that it took, although another worker had room
  (`tests/e2e/faults/test_full_disk.py`).
"""
ATTACKS = """
## Attacks

What each attack did to the service before it was mended, what its tests demand now, and how many of them passed.
"""


def page(document: Row) -> str:
    """Return the page of the figures of runs and of repeated attacks."""
    runs = document["runs"]
    lines = [INTRODUCTION.format(**document["setting"]).rstrip(), "", RUNS.strip(), "", *run_table(runs)]
    lines += [FAULTS.rstrip(), "", *fault_table(runs), PROMISES.rstrip(), "", *promise_table(runs)]
    if violations := list(violation_list(runs)):
        lines += ["", "Violations:", "", *violations]
    lines += [FOUND.rstrip(), ""]
    if document["attacks"]:
        lines += [ATTACKS.strip(), "", *attack_table(document["attacks"])]
    return "\n".join(lines).rstrip() + "\n"


def run_table(runs: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of the table of runs."""
    yield "| seed | commit | jobs | ends | attempts | seconds of a job | faults | answers | violations |"
    yield "| ---: | --- | ---: | --- | --- | --- | ---: | --- | ---: |"
    for run in runs:
        ends = ", ".join(f"{count} {_code(end)}" for end, count in run["ends"].items())
        attempts = ", ".join(f"{count} with {number}" for number, count in run["attempts"].items() if number != "0")
        faults = sum(kind["count"] for kind in run["faults"].values())
        violations = sum(promise["violations"] for promise in run["promises"])
        figures = f"{faults}, one in {run['every_s']:g} s"
        cells = [run["seed"], run["commit"], run["jobs"], ends, attempts, _pair(run["job_seconds"]), figures]
        cells += [_answers(run), violations]
        yield f"| {' | '.join(map(str, cells))} |"


def _code(end: str) -> str:
    state, _, code = end.partition(" ")
    return f"{state} (`{code}`)" if code else state


def _answers(run: Row) -> str:
    """Return the numbers of answers by class, of 503 and of requests without an answer."""
    counts: Counter[str] = Counter()
    for status, count in run["answers"].items():
        counts["503" if status == "503" else f"{status[0]}xx" if status.isdigit() else "none"] += count
    return ", ".join(f"{counts[name]} {name}" for name in sorted(counts))


def _pair(spread: Row) -> str:
    return "-" if spread["median"] is None else f"{spread['median']:.1f}, {spread['worst']:.1f}"


def fault_table(runs: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of the table of faults: of medians the largest, and of the worst the worst, over all runs."""
    yield "| fault | number | ready again, median and worst | next job ended, median and worst |"
    yield "| --- | ---: | --- | --- |"
    for kind in sorted({kind for run in runs for kind in run["faults"]}):
        figures = [run["faults"][kind] for run in runs if kind in run["faults"]]
        cells = [_pair(_worst([each[name] for each in figures])) for name in ("ready_seconds", "next_end_seconds")]
        yield f"| {kind} | {sum(each['count'] for each in figures)} | {' | '.join(cells)} |"


def _worst(spreads: Sequence[Row]) -> dict[str, float | None]:
    return {
        name: max((spread[name] for spread in spreads if spread[name] is not None), default=None)
        for name in ("median", "worst")
    }


def promise_table(runs: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of the table of promises."""
    yield "| promise | checked | violations |"
    yield "| --- | ---: | ---: |"
    for number, promise in enumerate(runs[0]["promises"]):
        checked, violations = (sum(run["promises"][number][name] for run in runs) for name in ("checked", "violations"))
        yield f"| {promise['promise']} | {checked} | {violations} |"


def violation_list(runs: Sequence[Row]) -> Iterator[str]:
    """Yield a line for each violation that is kept."""
    for run in runs:
        for promise in run["promises"]:
            yield from (f"- seed {run['seed']}: {example}" for example in promise["examples"])


def attack_table(attacks: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of the table of attacks."""
    yield "| | attack | before | now | tests | passed |"
    yield "| --- | --- | --- | --- | --- | ---: |"
    for attack in attacks:
        tests = ", ".join(f"`{file}`" for file in attack["tests"])
        passed = f"{attack['passed']} of {attack['passed'] + attack['failed']}"
        cells = [attack["row"], attack["attack"], attack["before"], attack["after"], tests, passed]
        yield f"| {' | '.join(cells)} |"
