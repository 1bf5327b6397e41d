"""The figures of a run: jobs, faults with the times of recovery, and the verdicts on the promises."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.reliability.history import FINAL, Accepted, Answer, Fault, History, Result, Seen
from benchmarks.reliability.promises import verdicts

MOST_VIOLATIONS = 20


def figures(history: History) -> dict[str, Any]:
    """Return the figures of a run as a JSON document; times are in seconds."""
    results = history.of(Result)
    answers = Counter(str(answer.status or answer.detail) for answer in history.of(Answer))
    durations = job_durations(history)
    return {
        "jobs": len(results),
        "ends": dict(Counter(f"{result.state} {result.code}".strip() for result in results).most_common()),
        "attempts": dict(sorted(Counter(str(result.attempt) for result in results).items())),
        "job_seconds": spread(durations),
        "answers": dict(answers.most_common()),
        "faults": fault_figures(history),
        "promises": [
            {
                **asdict(verdict), "violations": len(verdict.violations),
                "examples": verdict.violations[:MOST_VIOLATIONS],
            }
            for verdict in verdicts(history)
        ],
    }  # fmt: skip


def job_durations(history: History) -> list[float]:
    """Return the seconds from the acceptance of each job to the first look that saw its end."""
    ends = first_ends(history)
    accepted: dict[str, float] = {}
    for each in history.of(Accepted):
        accepted.setdefault(each.job, each.at)
    return [ends[job] - at for job, at in accepted.items() if job in ends]


def first_ends(history: History) -> dict[str, float]:
    """Return the time at which the end of each job was first seen."""
    ends: dict[str, float] = {}
    for look in history.of(Seen):
        if look.state in FINAL:
            ends[look.job] = min(look.received, ends.get(look.job, look.received))
    return ends


def fault_figures(history: History) -> dict[str, Any]:
    """Return for each kind of fault its number, and the times from its end until gateways are ready and a job ends."""
    faults = history.of(Fault)
    return {
        kind: {
            "count": len(of_kind),
            "ready_seconds": spread([ready_after(history, fault) for fault in of_kind]),
            "next_end_seconds": spread([next_end(history, fault) for fault in of_kind]),
        }
        for kind in sorted({fault.kind for fault in faults})
        for of_kind in [[fault for fault in faults if fault.kind == kind]]
    }


def ready_after(history: History, fault: Fault) -> float | None:
    """Return the seconds from the end of a fault until each gateway says that it is ready; 0 if all did all the time.

    None if one never did.
    """
    asked: dict[str, list[Answer]] = defaultdict(list)
    for answer in history.of(Answer):
        if answer.operation == "readyz" and answer.received >= fault.begun:
            asked[answer.gateway].append(answer)
    seconds = []
    for answers in asked.values():
        first = next((number for number, each in enumerate(answers) if _says_ready_after(each, fault)), None)
        if first is None:
            return None
        always = all(answer.status == 200 for answer in answers[:first])
        seconds.append(0.0 if always else answers[first].received - fault.ended)
    return max(seconds, default=None)


def _says_ready_after(answer: Answer, fault: Fault) -> bool:
    return answer.status == 200 and answer.sent >= fault.ended


def next_end(history: History, fault: Fault) -> float | None:
    """Return the seconds from the end of a fault until the next job ends; None if none did."""
    later = [end - fault.ended for end in first_ends(history).values() if end >= fault.ended]
    return min(later, default=None)


def spread(values: Sequence[float | None]) -> dict[str, float | None]:
    """Return median and worst of the values; both None if there are none."""
    known = [value for value in values if value is not None]
    if not known:
        return {"median": None, "worst": None}
    return {"median": round(statistics.median(known), 2), "worst": round(max(known), 2)}
