"""The contract as checks of a history: each promise counts what it looked at and lists what broke it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.reliability.history import (
    FINAL,
    Accepted,
    Answer,
    Cancelled,
    Ended,
    Fault,
    History,
    Notified,
    Result,
    Seen,
    Streamed,
    Uploaded,
    Used,
    calm_seconds,
    disturbed,
)

CANCEL_S = 5.0
"""A running job stops within this many seconds of a cancellation."""
LOOK_S = 4.0
"""The seconds between two looks of a caller at a job, with the time of an answer on a busy machine."""
GRACE_S = 20.0
"""The seconds after the end of a fault in which a cancellation may take longer: a lease of a lost worker runs out."""
RESTORED_S = 60.0
"""Accepted jobs are found again this many seconds after a fail-over that lost writes."""
LIVE_S = 5.0
"""The longest answer of `/livez` on a busy machine, unless the gateway itself is stopped."""
STARTED_S = 60.0
"""A gateway that was killed has started again after so many seconds on a busy machine."""
CLOCK_S = 2.0
"""The largest difference in seconds between times of a job that are out of order."""
EXPLAINED = {
    "worker.crashed": {"kill worker", "kill job", "kill fork server", "stop worker", "kill record store"},
    "worker.out_of_disk": {"full disk"},
    "worker.timeout": {"stop job", "stop worker"},
    "service.unavailable": {
        "hanging store",
        "slow store",
        "cut store",
        "stop record store",
        "fail-over",
        "lost record store",
    },
}
"""The codes with which an honest job may fail, and the kinds of faults that explain each."""


@dataclass(frozen=True)
class Verdict:
    """A promise, the number of objects that it was checked on, and the violations."""

    promise: str
    checked: int
    violations: tuple[str, ...]


Check = Callable[[History], Iterator[tuple[str, str | None]]]
"""A function that yields a subject and its violation, or None where the promise holds for it."""


def jobs_are_found(history: History) -> Iterator[tuple[str, str | None]]:
    """A job that was accepted (202) is found afterwards, on every gateway."""
    lossy = [fault for fault in history.of(Fault) if fault.lossy]
    ends = {result.job: result.state for result in history.of(Result)}
    looks = defaultdict(list)
    for look in history.of(Seen):
        looks[look.job].append(look)
    for accepted in history.of(Accepted):
        missing = [
            look
            for look in looks[accepted.job]
            if look.state == "missing"
            and not any(fault.begun <= look.received and look.sent <= fault.ended + RESTORED_S for fault in lossy)
        ]
        if missing:
            yield accepted.job, f"not found {missing[0].received - accepted.at:.1f} s after its 202"
        else:
            yield accepted.job, "not found after the run" if ends.get(accepted.job, "missing") == "missing" else None


def jobs_end(history: History) -> Iterator[tuple[str, str | None]]:
    """An accepted job reaches a final state."""
    for result in history.of(Result):
        yield result.job, None if result.state in FINAL | {"missing"} else f"still {result.state} after the run"


def ends_stay(history: History) -> Iterator[tuple[str, str | None]]:
    """A final state never changes."""
    looks = defaultdict(list)
    for look in history.of(Seen):
        if look.state != "missing":
            looks[look.job].append(look)
    for result in history.of(Result):
        if result.state != "missing":
            looks[result.job].append(Seen(float("inf"), float("inf"), result.job, result.state))
    for job, seen in looks.items():
        first = min((look for look in seen if look.state in FINAL), key=lambda look: look.received, default=None)
        if first is not None:
            later = [look for look in seen if look.sent > first.received and look.state != first.state]
            yield job, f"{first.state}, and {later[0].state} later" if later else None


def keys_give_one_job(history: History) -> Iterator[tuple[str, str | None]]:
    """Requests with the same idempotency key give one job."""
    jobs: dict[tuple[str, str], set[str]] = defaultdict(set)
    for accepted in history.of(Accepted):
        jobs[accepted.tenant, accepted.key].add(accepted.job)
    for (_, key), ids in jobs.items():
        yield key, f"{len(ids)} jobs: {', '.join(sorted(ids))}" if len(ids) > 1 else None


def equal_input_gives_equal_bytes(history: History) -> Iterator[tuple[str, str | None]]:
    """A job that succeeds has the bytes of the same job without faults, and they have the digests that it lists."""
    variants = {accepted.job: accepted.variant for accepted in history.of(Accepted)}
    for result in history.of(Result):
        if result.state != "succeeded" or result.job not in variants:
            continue
        reference = history.references[variants[result.job]].digests
        differing = {name for name in reference | result.digests if reference.get(name) != result.digests.get(name)}
        differing |= {name for name in result.listed if result.listed[name] != result.digests.get(name)}
        yield result.job, f"{', '.join(sorted(differing))} differ" if differing else None


def failures_have_a_reason(history: History) -> Iterator[tuple[str, str | None]]:
    """A job ends as it does without faults, unless it is cancelled or a fault of its time explains the failure."""
    accepted = {each.job: each for each in history.of(Accepted)}
    asked = {cancelled.job for cancelled in history.of(Cancelled)}
    faults = history.of(Fault)
    ends: dict[str, float] = {}
    for look in history.of(Seen):
        if look.state in FINAL:
            ends.setdefault(look.job, look.received)
    for result in history.of(Result):
        if result.job not in accepted or result.state not in FINAL:
            continue
        begun, ended = accepted[result.job].at, ends.get(result.job, float("inf"))
        reference = history.references[accepted[result.job].variant]
        kinds = {fault.kind for fault in faults if fault.begun <= ended and begun <= fault.ended + GRACE_S}
        if (result.state, result.code) == (reference.state, reference.code):
            yield result.job, None
        elif result.state == "cancelled":
            yield result.job, None if result.job in asked else "cancelled, which nobody asked for"
        elif result.state == "failed" and kinds & EXPLAINED.get(result.code, set()):
            yield result.job, None
        else:
            yield result.job, f"{result.state} {result.code} instead of {reference.state} {reference.code}"


def cancels_are_heard(history: History) -> Iterator[tuple[str, str | None]]:
    """A job ends within 5 s of its cancellation, not counting the time of faults."""
    intervals = disturbed(history.of(Fault), GRACE_S)
    ends: dict[str, float] = {}
    for look in history.of(Seen):
        if look.state in FINAL:
            ends[look.job] = min(ends.get(look.job, float("inf")), look.received)
    for cancelled in history.of(Cancelled):
        if cancelled.job not in ends:
            yield cancelled.job, "no end was seen"
            continue
        seconds = calm_seconds(cancelled.at, ends[cancelled.job], intervals)
        yield cancelled.job, f"ended after {seconds:.1f} s" if seconds > CANCEL_S + LOOK_S else None


def events_are_ordered(history: History) -> Iterator[tuple[str, str | None]]:
    """Events come once and in order up to the final state, with which a cached result begins; the stream then ends."""
    ends = {result.job: result.state for result in history.of(Result)}
    for stream in history.of(Streamed):
        yield stream.job, _fault_of(stream, ends.get(stream.job, "missing"))


def _fault_of(stream: Streamed, end: str) -> str | None:
    positions = [tuple(map(int, identity.split("-"))) for identity in stream.ids]
    if any(later <= earlier for earlier, later in pairwise(positions)):
        return "ids repeat or go back"
    if not stream.ended:
        return "the stream did not end"
    if stream.states[:1] != ("queued",) and stream.states != (end,):
        return f"states begin with {stream.states[:1]}"
    if set(stream.states[1:-1]) - {"queued", "running"}:
        return f"states {stream.states}"
    return None if stream.states[-1] == end else f"the last state is {stream.states[-1]}, the job's is {end}"


def webhooks_arrive(history: History) -> Iterator[tuple[str, str | None]]:
    """The webhook of an ended job is delivered at least once, signed and with its final state."""
    notes = defaultdict(list)
    for note in history.of(Notified):
        notes[note.job].append(note)
    for result in history.of(Result):
        if result.job in history.webhooks and result.state in FINAL:
            arrived = notes[result.job]
            wrong = [note for note in arrived if note.state != result.state or not note.signed]
            yield result.job, "not delivered" if not arrived else "with a wrong state or signature" if wrong else None


def tenants_are_apart(history: History) -> Iterator[tuple[str, str | None]]:
    """An object of another tenant is not found (404)."""
    for answer in history.of(Answer):
        if answer.operation == "foreign" and answer.status is not None and answer.status < 500:
            yield answer.subject, None if answer.status == 404 else f"answered {answer.status}"


def uploads_are_found(history: History) -> Iterator[tuple[str, str | None]]:
    """An upload that was accepted is found afterwards, with its bytes."""
    for upload in history.of(Uploaded):
        yield upload.upload, None if upload.stored == upload.sent else f"stored: {upload.stored}"


def failing_stores_are_503(history: History) -> Iterator[tuple[str, str | None]]:
    """No request is answered by 500, and each 503 has a Retry-After, whatever fails."""
    for answer in history.of(Answer):
        if answer.status is None:
            continue
        subject = f"{answer.operation} {answer.subject}"
        if answer.status >= 500 and answer.status != 503:
            yield subject, f"{answer.status} {answer.detail} at {answer.sent:.1f} s"
        else:
            yield subject, "503 without Retry-After" if answer.status == 503 and not answer.retry_after else None


def gateways_stay_live(history: History) -> Iterator[tuple[str, str | None]]:
    """`/livez` answers at once whatever the stores do, unless the gateway itself is killed or stopped."""
    hit = [fault for fault in history.of(Fault) if "gateway" in fault.kind]
    for answer in history.of(Answer):
        away = any(
            fault.target == answer.gateway and fault.begun <= answer.received and answer.sent <= fault.ended + STARTED_S
            for fault in hit
        )
        if answer.operation == "livez" and not away:
            slow = answer.received - answer.sent > LIVE_S or answer.status != 200
            late = f"{answer.status} after {answer.received - answer.sent:.1f} s at {answer.sent:.1f} s"
            yield f"{answer.gateway} {answer.sent:.1f}", late if slow else None


def processes_stay(history: History) -> Iterator[tuple[str, str | None]]:
    """No gateway, worker or record store ends by itself."""
    for ended in history.of(Ended):
        yield ended.process, f"status {ended.code} at {ended.at:.1f} s"
    for process in {fault.target for fault in history.of(Fault)} - {ended.process for ended in history.of(Ended)}:
        yield process, None


def times_are_in_order(history: History) -> Iterator[tuple[str, str | None]]:
    """A job is created, started and ended in this order, whatever the clock of its worker says."""
    for result in history.of(Result):
        steps = pairwise(result.times)
        back = max((earlier - later for earlier, later in steps), default=0.0)
        yield result.job, f"{back:.1f} s back" if back > CLOCK_S else None


def quotas_return(history: History) -> Iterator[tuple[str, str | None]]:
    """The use of a key is counted exactly: no open jobs after the last end, and the bytes that it has stored."""
    for used in history.of(Used):
        wrong = (used.open_jobs, used.stored) != (0, used.true_bytes)
        counted = f"{used.open_jobs} open jobs, {used.stored} bytes instead of {used.true_bytes}"
        yield f"{used.key} {used.when}", counted if wrong else None


def nothing_is_orphaned(history: History) -> Iterator[tuple[str, str | None]]:
    """Maintenance leaves no blob in the store that no record names."""
    yield "store", f"{len(history.orphans)} blobs: {', '.join(history.orphans[:3])}" if history.orphans else None


PROMISES: tuple[Check, ...] = (
    jobs_are_found,
    jobs_end,
    ends_stay,
    keys_give_one_job,
    equal_input_gives_equal_bytes,
    failures_have_a_reason,
    cancels_are_heard,
    events_are_ordered,
    webhooks_arrive,
    tenants_are_apart,
    uploads_are_found,
    failing_stores_are_503,
    gateways_stay_live,
    processes_stay,
    times_are_in_order,
    quotas_return,
    nothing_is_orphaned,
)
"""All promises; the first line of a docstring is the promise."""


def verdicts(history: History, promises: Iterable[Check] = PROMISES) -> list[Verdict]:
    """Return the verdict on each promise."""
    return [_verdict(promise, history) for promise in promises]


def _verdict(promise: Check, history: History) -> Verdict:
    checks = list(promise(history))
    violations = tuple(f"{subject}: {violation}" for subject, violation in checks if violation is not None)
    return Verdict((promise.__doc__ or promise.__name__).strip().split("\n")[0], len(checks), violations)
