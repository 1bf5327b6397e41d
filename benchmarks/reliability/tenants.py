"""Tenants that use a deployment as its callers do, and record every answer."""

import contextlib
import hashlib
import io
import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.reliability.history import (
    FINAL,
    Accepted,
    Answer,
    Cancelled,
    History,
    Result,
    Seen,
    Streamed,
    Uploaded,
)
from jobs.records.store import seconds

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = {
    "digits.onnx": "model",
    "damaged.onnx": "model",
    "digits_calibration.npz": "dataset",
    "digits_evaluation.npz": "dataset",
}
"""The uploads of each tenant and their kinds."""
QUICK = {"measure": {"latency": False}, "report": "weights"}
VARIANTS: dict[str, dict[str, Any]] = {
    "8-bit weights": {"model": "digits.onnx", "spec": {"preset": "int8-weights", **QUICK}},
    "4-bit weights": {"model": "digits.onnx", "spec": {"preset": "int4-weights", **QUICK}},
    "8 bits with data": {
        "model": "digits.onnx", "calibration": "digits_calibration.npz", "spec": {"preset": "int8", **QUICK},
    },
    "gates": {
        "model": "digits.onnx", "calibration": "digits_calibration.npz", "evaluation": "digits_evaluation.npz",
        "spec": {"preset": "int8", "gates": {"max_top1_drop_points": 1.0}, **QUICK},
    },
    "damaged": {"model": "damaged.onnx", "spec": {"preset": "int8-weights"}},
}  # fmt: skip
"""The jobs that tenants submit, with the names of files for their inputs. The damaged model fails, as it should."""
SECRET = "whsec_" + "cXVhbnRkIGNoYW9zIHNlY3JldCBvZiAzMiBieXRlcyE="
ANSWERS_WITHIN_S, LOOK_EVERY_S, ENDS_WITHIN_S = 40.0, 2.0, 300.0
AT_A_TIME = 4
"""The number of jobs that a tenant has open."""


@dataclass(frozen=True)
class Shares:
    """The shares of a tenant's jobs that are treated in a way."""

    webhook: float = 0.5
    repeated: float = 0.3
    followed: float = 0.35
    waited: float = 0.5
    cancelled: float = 0.15
    cached: float = 0.2
    uploads: float = 0.2
    foreign: float = 0.4


SHARES = Shares()


class Tenant:
    """A tenant with a key, who talks to any gateway and tries again on another one.

    Args:
        name: the name of the tenant.
        key: its API key.
        gateways: the addresses of the gateways, by name.
        history: the place of the records.
        clock: the seconds since the start of the run.
    """

    def __init__(
        self, name: str, key: str, gateways: Mapping[str, str], history: History, clock: Callable[[], float]
    ) -> None:
        self.name, self._history, self._clock, self._names = name, history, clock, list(gateways)
        limits, headers = httpx.Limits(max_connections=100), {"Authorization": f"Bearer {key}"}
        self._http = {
            gateway: httpx.Client(base_url=url, headers=headers, timeout=ANSWERS_WITHIN_S, limits=limits)
            for gateway, url in gateways.items()
        }
        self._turn = itertools.cycle(self._names)
        self.inputs: dict[str, str] = {}
        self.jobs: list[str] = []
        self.uploads: dict[str, str] = {}

    def restart(self, clock: Callable[[], float]) -> None:
        """Forget the jobs of the past and count time by another clock."""
        self._clock, self.jobs = clock, []

    def ask(self, operation: str, subject: str, method: str, path: str, **options: Any) -> httpx.Response | None:
        """Send a request to the next gateway, record its answer and return it; None without an answer."""
        gateway, sent = next(self._turn), self._clock()
        try:
            answer = self._http[gateway].request(method, path, **options)
        except httpx.HTTPError as error:
            kind = type(error).__name__
            self._history.add(Answer(sent, self._clock(), gateway, operation, subject, None, detail=kind))
            return None
        detail = answer.json().get("code", "") if answer.status_code >= 400 and "json" in _type(answer) else ""
        self._history.add(
            Answer(
                sent, self._clock(), gateway, operation, subject, answer.status_code, "retry-after" in answer.headers,
                detail,
            )
        )  # fmt: skip
        return answer

    def persist(self, operation: str, subject: str, method: str, path: str, **options: Any) -> httpx.Response:
        """Repeat a request while there is no answer or a 503.

        Raises:
            TimeoutError: there is no other answer for `ENDS_WITHIN_S`.
        """
        deadline = time.monotonic() + ENDS_WITHIN_S
        while time.monotonic() < deadline:
            answer = self.ask(operation, subject, method, path, **options)
            if answer is not None and answer.status_code < 500:
                return answer
            time.sleep(0.3)
        raise TimeoutError(f"{self.name}: {operation} {subject} had no answer")

    # Uploads

    def upload_files(self) -> None:
        """Upload the files of all variants."""
        for name, kind in FILES.items():
            self.inputs[name] = self.upload(kind, name, file_bytes(name))

    def upload(self, kind: str, name: str, data: bytes) -> str:
        """Upload bytes and return the id."""
        headers = {"X-Filename": name, "Idempotency-Key": f"{self.name}-{hashlib.sha256(data).hexdigest()[:16]}"}
        answer = self.persist("upload", name, "POST", f"/v1/{kind}s", content=data, headers=headers)
        assert answer.status_code in (200, 201), answer.text
        identity = str(answer.json()["id"])
        self.uploads[identity] = hashlib.sha256(data).hexdigest()
        return identity

    # Jobs

    def live(self, numbers: Sequence[int], seed: int, others: "Sequence[Tenant]", hook: str, until: float) -> None:
        """Submit jobs, a few at a time, and follow each to its end.

        Args:
            numbers: the numbers of the jobs.
            seed: the seed of all choices, with the tenant's name and the job's number.
            others: the tenants that try to see this one's objects.
            hook: the address of the receiver of webhooks.
            until: the time after which no more jobs are submitted.
        """
        with ThreadPoolExecutor(AT_A_TIME) as threads:
            lives = [
                threads.submit(self._live, number, random.Random(f"{seed} {self.name} {number}"), others, hook, until)
                for number in numbers
            ]
            for life in lives:
                life.result()

    def _live(self, number: int, choose: random.Random, others: "Sequence[Tenant]", hook: str, until: float) -> None:
        """Submit one job and follow it to its end."""
        if self._clock() > until:
            return
        if choose.random() < SHARES.uploads:
            self.upload("dataset", f"{number}.npz", new_dataset(choose))
        key, variant = f"{self.name}-{number}", choose.choice(list(VARIANTS))
        webhook = {"url": f"{hook}/{self.name}", "secret": SECRET} if choose.random() < SHARES.webhook else None
        cache = {} if choose.random() < SHARES.cached else {"Cache-Control": "no-cache"}
        job = self.submit(key, variant, webhook, cache)
        if choose.random() < SHARES.repeated:
            assert self.submit(key, variant, webhook, cache)
        if choose.random() < SHARES.foreign:
            choose.choice(others).look_at_foreign(job, self.inputs["digits.onnx"])
        follower = None
        if choose.random() < SHARES.followed:
            follower = threading.Thread(target=self._follow, args=(job,))
            follower.start()
        if choose.random() < SHARES.cancelled:
            time.sleep(choose.uniform(0, 3))
            self._cancel(job)
        self._await_end(job, wait=choose.random() < SHARES.waited)
        if follower is not None:
            follower.join()

    def submit(self, key: str, variant: str, webhook: Mapping[str, str] | None, headers: Mapping[str, str]) -> str:
        """Submit a job until it is accepted and return its id."""
        files = VARIANTS[variant]
        inputs = {role: self.inputs[name] for role, name in files.items() if role != "spec"}
        body = {**inputs, "spec": files["spec"], "tags": {"variant": variant}, "webhook": webhook}
        answer = self.persist(
            "submit", key, "POST", "/v1/jobs", json=body, headers={**headers, "Idempotency-Key": key}
        )  # fmt: skip
        assert answer.status_code == 202, answer.text
        job = str(answer.json()["id"])
        self._history.add(Accepted(self._clock(), job, self.name, key, variant))
        if webhook is not None:
            self._history.webhooks.add(job)
        if job not in self.jobs:
            self.jobs.append(job)
        return job

    def look_at_foreign(self, job: str, model: str) -> None:
        """Ask for another tenant's objects."""
        for path in (f"/v1/jobs/{job}", f"/v1/jobs/{job}/artifacts/model.onnx", f"/v1/models/{model}"):
            self.ask("foreign", path, "GET", path)

    def _cancel(self, job: str) -> None:
        answer = self.persist("cancel", job, "POST", f"/v1/jobs/{job}/cancel")
        if answer.status_code == 202:
            self._history.add(Cancelled(self._clock(), job))
            self._saw(job, self._clock(), answer)

    def look(self, job: str, headers: Mapping[str, str] | None = None) -> dict[str, Any] | None:
        """Look at a job and return it; None if it is not found or there is no answer."""
        sent = self._clock()
        answer = self.ask("show", job, "GET", f"/v1/jobs/{job}", headers=headers)
        return None if answer is None else self._saw(job, sent, answer)

    def _saw(self, job: str, sent: float, answer: httpx.Response) -> dict[str, Any] | None:
        if answer.status_code == 404:
            self._history.add(Seen(sent, self._clock(), job, "missing"))
        if answer.status_code >= 300:
            return None
        document: dict[str, Any] = answer.json()
        self._history.add(Seen(sent, self._clock(), job, document["status"]))
        return document

    def _await_end(self, job: str, wait: bool) -> None:
        deadline = time.monotonic() + ENDS_WITHIN_S
        while time.monotonic() < deadline:
            document = self.look(job, {"Prefer": "wait=10"} if wait else None)
            if document is not None and document["status"] in FINAL:
                return
            time.sleep(LOOK_EVERY_S)

    def _follow(self, job: str) -> None:
        """Follow the events of a job, with a new connection after the last event where one is cut."""
        ids: list[str] = []
        states: list[str] = []
        ended, deadline = False, time.monotonic() + ENDS_WITHIN_S
        while not ended and time.monotonic() < deadline:
            headers = {"Last-Event-ID": ids[-1]} if ids else {}
            gateway = next(self._turn)
            with contextlib.suppress(httpx.HTTPError):
                stream = self._http[gateway].stream("GET", f"/v1/jobs/{job}/events", headers=headers)
                with stream as answer:
                    if answer.status_code == 200:
                        for event in events(answer.iter_lines()):
                            ids.append(event["id"])
                            if event["event"] == "state":
                                states.append(json.loads(event["data"])["status"])
                        ended = True
            time.sleep(0 if ended else 0.3)
        self._history.add(Streamed(job, tuple(ids), tuple(states), ended))

    # After the run

    def result(self, job: str) -> Result:
        """Return a job as it is now, with the digests of its artifacts' bytes."""
        answer = self.persist("show", job, "GET", f"/v1/jobs/{job}")
        if answer.status_code == 404:
            return Result(job, "missing")
        document = answer.json()
        listed = {}
        digests = {}
        if document["status"] == "succeeded":
            items = self.persist("artifacts", job, "GET", f"/v1/jobs/{job}/artifacts").json()["items"]
            listed = {item["name"]: item["sha256"] for item in items}
            for item in items:
                content = self.persist("download", job, "GET", item["url"]).content
                digests[item["name"]] = hashlib.sha256(content).hexdigest()
        times = [document[name] for name in ("created_at", "started_at", "finished_at")]
        code = (document["error"] or {}).get("code", "")
        return Result(
            job, document["status"], code, digests, listed, tuple(seconds(each) for each in times if each),
            document["attempt"],
        )  # fmt: skip

    def check_all(self) -> None:
        """Record what became of each job, and whether each upload is found with its digest."""
        self._history.add(*map(self.result, self.jobs))
        for identity, digest in self.uploads.items():
            kind = identity.split("_")[0]
            answer = self.persist("show", identity, "GET", f"/v1/{kind}s/{identity}")
            stored = answer.json()["sha256"] if answer.status_code == 200 else None
            self._history.add(Uploaded(identity, digest, stored))

    def stored_bytes(self) -> int:
        """Return the bytes of all uploads and artifacts that the service shows."""
        uploads = sum(int(item["size"]) for kind in ("models", "datasets") for item in self._items(f"/v1/{kind}"))
        artifacts = [job["links"]["artifacts"] for job in self._items("/v1/jobs") if "artifacts" in job["links"]]
        return uploads + sum(int(item["size"]) for path in artifacts for item in self._items(path))

    def _items(self, path: str) -> Iterator[dict[str, Any]]:
        """Yield the items of all pages of a list."""
        cursor: str | None = ""
        while cursor is not None:
            page = self.persist(
                "list", path, "GET", path, params={"limit": 100} | ({"cursor": cursor} if cursor else {})
            )
            yield from page.json()["items"]
            cursor = page.json()["next_cursor"]

    def delete_all(self) -> None:
        """Delete every job and every upload."""
        for kind in ("jobs", "models", "datasets"):
            while items := self.persist("list", kind, "GET", f"/v1/{kind}", params={"limit": 100}).json()["items"]:
                for item in items:
                    answer = self.persist("delete", item["id"], "DELETE", f"/v1/{kind}/{item['id']}")
                    assert answer.status_code in (204, 404), answer.text


def events(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    """Yield the fields of each server-sent event."""
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(": ")
        if colon and name:
            fields[name] = value
        elif not line:
            if "id" in fields:
                yield fields
            fields = {}


def file_bytes(name: str) -> bytes:
    """Return the bytes of a file of the run."""
    if name == "damaged.onnx":
        return (EXAMPLES / "digits.onnx").read_bytes()[:100_000]
    return (EXAMPLES / name).read_bytes()


def new_dataset(choose: random.Random) -> bytes:
    """Return a small dataset that no tenant has stored yet."""
    file = io.BytesIO()
    np.savez(file, x=np.random.default_rng(choose.getrandbits(32)).normal(size=(8, 1, 8, 8)).astype(np.float32))
    return file.getvalue()


def _type(answer: httpx.Response) -> str:
    return str(answer.headers.get("content-type", ""))
