"""Random kills of a service's processes while its jobs run: short as a test, long as a benchmark."""

import os
import random
import signal
import threading
import time
from collections import Counter

import httpx

from jobs.records import ATTEMPTS
from jobs.redis_keys import OPEN
from tests.e2e.faults.cluster import Cluster, assert_sound, until

EVERY_S = 0.35


def survive(cluster: Cluster, body: dict, jobs: int, kills: int, seed: int) -> dict:
    """Submit `jobs` jobs while `kills` processes are killed, verify each job, and return counts of the outcomes.

    The gateway, a worker, the process of a job or the record store is killed at a time, and started again at once.
    """
    choose, killed, submitted = random.Random(seed), Counter(), []

    def submit() -> None:
        for number in range(jobs):
            submitted.append(
                _submit_persistently(cluster, {**body, "tags": {"number": str(number)}}, f"{seed}-{number}")
            )

    submitter = threading.Thread(target=submit)
    submitter.start()
    for _ in range(kills):  # here: a process ends with the thread that started it
        time.sleep(EVERY_S * choose.uniform(0.5, 1.5))
        killed[_kill_one(cluster, choose)] += 1
    submitter.join()
    cluster.wait_ready()
    until(lambda: all(cluster.job(job)["finished_at"] for job in submitted), "the end of all jobs", 180)
    assert len(submitted) == jobs
    return {"killed": dict(killed), **_verify(cluster, submitted)}


def _kill_one(cluster: Cluster, choose: random.Random) -> str:
    name = choose.choice([*cluster.names, "child"])
    pid = cluster.busy_now(choose.choice(cluster.workers))
    if name == "child" and pid is not None:
        _kill(pid)
        return name
    name = "gateway" if name == "child" else name
    cluster.kill(name)
    cluster.start(name)
    return name


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it has just ended by itself


def _submit_persistently(cluster: Cluster, body: dict, key: str) -> dict:
    """Submit a job, repeatedly with the same idempotency key until there is an answer."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            headers = {"Idempotency-Key": key, "Cache-Control": "no-cache"}
            response = cluster.http.post("/v1/jobs", json=body, headers=headers, timeout=5)
        except httpx.TransportError:
            time.sleep(0.1)
            continue
        if response.status_code == 202:
            return response.json()
        assert response.status_code == 503, response.text
        time.sleep(0.1)
    raise TimeoutError("no job could be submitted")


def _verify(cluster: Cluster, submitted: list[dict]) -> dict:
    """Check that each job was accepted once, ended once and is complete, or failed after the last attempt."""
    listed = [job["id"] for job in cluster.http.get("/v1/jobs", params={"limit": 100}).json()["items"]]
    mine = {job["id"] for job in submitted}
    assert len(mine) == len(submitted)
    assert mine <= set(listed)
    assert len(listed) == len(set(listed))
    ends = {"succeeded": 0, "failed": 0, "attempts": 0}
    for job in map(cluster.job, submitted):
        states = cluster.states(job)
        assert states[0] == "queued"
        assert set(states[1:-1]) <= {"running"}
        ends[job["status"]] += 1
        ends["attempts"] += job["attempt"]
        if job["status"] == "succeeded":
            assert_sound(cluster, job, attempts=job["attempt"])
        else:
            assert (states[-1], job["error"]["code"]) == ("failed", "worker.crashed")
            assert job["attempt"] >= ATTEMPTS
    assert cluster.redis().zcard(OPEN) == 0
    return ends
