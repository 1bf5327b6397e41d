"""The attacks that broke the service once, what they did then, and the tests that repeat them."""

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Attack:
    """An attack, and its tests.

    Attributes:
        row: the part and number of the attack.
        attack: what is done to the service.
        before: what it did, before it was mended.
        after: what the tests demand.
        tests: the tests that repeat it: files of `tests/`, each with parts of test names, or none for all of the file.
    """

    row: str
    attack: str
    before: str
    after: str
    tests: tuple[tuple[str, str], ...]


ATTACKS = (
    Attack(
        "A1",
        "a webhook to a host with a label of more than 63 characters; 300 receivers that hang",
        "no tenant's webhooks are delivered any more, also after a restart",
        "that delivery fails alone; 32 of a tenant and 8 to a host at a time leave places for others; background tasks "
        "are started again",
        (
            ("service/webhooks/test_deliveries.py", "hang or no_lookup or set_aside"),
            ("service/test_supervision.py", ""),
        ),
    ),
    Attack(
        "A2", "1,500 nested folders in a job's folder",
        "no worker starts on this machine any more",
        "they are removed at the next start; more than 64 levels are over the limit of the disk",
        (("worker/test_workspaces.py", "nest"),),
    ),
    Attack(
        "A3", "Redis answers READONLY, OOM or MISCONF",
        "the worker ends with status 0, requests get 500, and `/readyz` says 200",
        "503 with Retry-After, not ready; the worker waits, and stores the finished result",
        (
            ("e2e/faults/test_unavailable_stores.py", "takes_no_writes or acknowledge"),
            ("jobs/test_connection.py", "writes"),
        ),
    ),
    Attack(
        "A4", "a head of 300 MB; 1,100 half-sent requests",
        "the gateway grows by 300 MB; every connection is reset, for good",
        "431 above 64 KiB, 408 after 20 s; 2,048 connections, 512 of an address; 256 descriptors stay free",
        (("service/test_connection_limits.py", ""),),
    ),
    Attack(
        "A5", "the stores hang",
        "`/livez` waits for 40 s",
        "`/livez` touches no store; `/readyz` answers within 2 s and asks the stores once a second",
        (("service/test_readiness.py", ""), ("service/test_health.py", "")),
    ),
    Attack(
        "A6", "101 open streams of events",
        "other streams are cut, and a submission with `Prefer: wait` gets 503",
        "one connection reads for all streams; 100 for a key, one more is 429, and a wait too many answers at once",
        (("e2e/faults/test_many_streams.py", ""), ("jobs/test_events.py", "")),
    ),
    Attack(
        "A7", "names of megabytes in errors and progress",
        "one list of 85 MB; 400 progress lines of 1 MB in Redis",
        "1,024 characters a text, 50 faults an error, 256 Ki characters of progress an attempt",
        (("worker/test_protocol.py", "shortened"), ("worker/test_relay.py", "")),
    ),
    Attack(
        "B1", "a worker is stopped and continued",
        "8 of 12 honest jobs fail as `worker.crashed`",
        "the messages of a process are read to their end before it is judged",
        (("worker/test_child.py", "ended_well"),),
    ),
    Attack(
        "B2",
        "Redis is lost, and the same bytes are uploaded again; a record in the store is damaged",
        "`quantd reindex`, started by hand, deletes the first model, and its accepted job ends as `not_found`",
        "gateways restore an empty or old index by themselves, and answer 503 meanwhile; nothing that a job names is "
        "deleted; a damaged record is named and left out",
        (
            ("jobs/test_reindex.py", ""),
            ("jobs/test_reconciliation.py", ""),
            ("e2e/faults/test_lost_records.py", "index"),
        ),
    ),
    Attack(
        "B3", "a tenant submits 1,000 jobs before another's one",
        "after 45 s, 938 jobs are still before it",
        "it starts within three jobs",
        (("e2e/faults/test_fair_queue.py", ""), ("jobs/records/test_turns.py", "")),
    ),
    Attack(
        "B4", "cancel while a store or the fork server hangs",
        "not heard in 75 s",
        "cancelled within 5 s",
        (("e2e/faults/test_hanging_parts.py", ""),),
    ),
    Attack(
        "B5", "the clock of a worker is 120 s ahead",
        "it takes the jobs of others",
        "leases are times of Redis",
        (("jobs/records/test_job_states.py", "clock"),),
    ),
    Attack(
        "B6", "labels beyond the classes; a name of 2 MB; 3,000 functions that call each other",
        "`worker.crashed`",
        "errors with the codes of the model or the dataset",
        (("e2e/attacks/test_attacks.py", "functions or megabytes"),),
    ),
    Attack(
        "B7",
        "the end of the append-only file is lost; the replica that is promoted lags",
        "accepted jobs are lost until somebody starts `quantd reindex`",
        "they come back within a minute, and a job that has ended does not run again",
        (("e2e/faults/test_lost_records.py", "append_only or fail_over"),),
    ),
    Attack(
        "C1",
        "a job's process calls chmod, chown, utime, setxattr, inotify, prctl(PR_SET_PDEATHSIG), or maps more than its "
        "limit",
        "80 of 362 calls are refused; `chmod('..', 0)` breaks the next job of the worker",
        "only the calls that jobs make are permitted, as traced over the test suite; another one is refused and logged",
        (
            ("worker/test_system_calls.py", ""),
            ("e2e/attacks/test_escapes.py", ""),
            ("e2e/attacks/test_honest_jobs.py", ""),
        ),
    ),
    Attack(
        "C2",
        "a job's process writes 1.2 GB by deep paths, removed maps and standard error, reads names of foreign files, "
        "or outlives its worker",
        "possible, through a limit of 64 MB",
        "mounts of its own with a space of the limit's size, and process ids of its own that end with the worker",
        (("worker/test_mounts.py", ""), ("worker/test_namespaces.py", ""), ("worker/test_tail.py", "")),
    ),
    Attack(
        "C3",
        "a job's process uses the rights of its user on files and processes of the worker",
        "it runs as root without capabilities",
        "a user of its own for each concurrent job",
        (("worker/test_namespaces.py", "user"), ("worker/test_sandbox.py", "")),
    ),
    Attack(
        "C4",
        "the same in a container that forbids namespaces, without Landlock, without seccomp, or without root",
        "not tested",
        "the parts that are left still hold, and the missing ones are not listed",
        (("worker/test_environments.py", ""),),
    ),
    Attack(
        "D", "ids like `x:events`, half of a surrogate pair, a megabyte of unknown keys",
        "500; 7 MB of answer in 2 s",
        "404 and 400; the answer is short",
        (("service/test_problems.py", "unknown_keys or half or another_record"),),
    ),
    Attack(
        "D", "webhooks to `fec0::1`, `64:ff9b:1::`, `::127.0.0.1` and others",
        "called as public addresses",
        "refused",
        (("service/webhooks/test_addresses.py", ""),),
    ),
    Attack(
        "D", "a full store; empty folders; pages without a policy",
        "`/readyz` says 200; folders stay; `/` has no Content-Security-Policy",
        "503 that names the store; old empty folders are removed; every response has a policy",
        (
            ("e2e/faults/test_full_disk.py", "not_ready"),
            ("jobs/test_blobs.py", "empty_folders"),
            ("service/test_edge.py", "policy"),
        ),
    ),
)  # fmt: skip
"""The attacks of all parts, in their order."""


def repeat(attacks: Sequence[Attack] = ATTACKS) -> list[dict[str, Any]]:
    """Run the tests of each attack and return its row with the numbers of tests that passed and failed."""
    return [_repeated(attack) for attack in attacks]


def _repeated(attack: Attack) -> dict[str, Any]:
    passed = failed = 0
    seconds = 0.0
    for file, names in attack.tests:
        outcome = run_tests(ROOT / "tests" / file, names)
        passed, failed, seconds = passed + outcome[0], failed + outcome[1], seconds + outcome[2]
    files = sorted({f"tests/{file}" for file, _ in attack.tests})
    row = {"row": attack.row, "attack": attack.attack, "before": attack.before, "after": attack.after}
    return {**row, "tests": files, "passed": passed, "failed": failed, "seconds": round(seconds, 1)}


def run_tests(file: Path, names: str) -> tuple[int, int, float]:
    """Run the tests of a file whose names match, and return the numbers that passed and failed, and the seconds."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "junit.xml"
        selection = ["-k", names] if names else []
        command = [sys.executable, "-m", "pytest", "-q", f"--junit-xml={report}", str(file), *selection]
        subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.DEVNULL)
        suite = ElementTree.parse(report).getroot()[0].attrib
    counts = {name: int(suite[name]) for name in ("tests", "failures", "errors", "skipped")}
    failed = counts["failures"] + counts["errors"]
    return counts["tests"] - failed - counts["skipped"], failed, float(suite["time"])
