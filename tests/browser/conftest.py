"""Fixtures: Chromium, a service that requires keys, and people at browsers."""

import json
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from jobs.stack import Stack
from tests.browser.chromium import ChromiumMissing, launched, required
from tests.browser.steps import sign_in
from tests.browser.visitor import visiting
from tests.command import quantd
from tests.specs import QUICK_WEIGHTS


@dataclass(frozen=True)
class Served:
    """A running service that requires keys, and a key of the tenant `vision`."""

    stack: Stack
    url: str
    key: str


@pytest.fixture(scope="package")
def chromium():
    """Chromium for the tests of this folder only: while it runs, no test may start an event loop of its own."""
    with ExitStack() as running:
        try:
            browser = running.enter_context(launched())
        except ChromiumMissing as error:
            if required():
                raise
            pytest.skip(str(error))
        yield browser


@pytest.fixture(scope="package")
def served(tmp_path_factory):
    with Stack(tmp_path_factory.mktemp("browser"), settings={"QUANTD_AUTH": "required"}) as stack:
        yield Served(stack, stack.url, created_key(stack, "vision"))


def created_key(stack: Stack, tenant: str) -> str:
    """Create a key of a tenant that may read and write, and return its text."""
    result = quantd("keys", "create", "--json", "--state-dir", stack.folder, "--tenant", tenant)
    return json.loads(result.stdout)["key"]


@pytest.fixture(scope="package")
def make_key(served):
    """Return a function that creates a key of a tenant and returns its text."""
    return partial(created_key, served.stack)


@pytest.fixture(scope="package")
def api(served):
    """The API of the service, as the tenant's scripts call it."""
    with httpx.Client(base_url=served.url, headers={"Authorization": f"Bearer {served.key}"}, timeout=120) as client:
        yield client


@pytest.fixture(scope="package")
def jobs(api, examples):
    """Two jobs of the example model with data, after their end: `int8`, and `int4` with a gate that fails."""
    ids = {"model": upload(api, "models", examples / "digits.onnx")}
    for role in ("calibration", "evaluation"):
        ids[role] = upload(api, "datasets", examples / f"digits_{role}.npz")
    gates = {"max_size_ratio": 0.25, "min_output_sqnr_db": 60}
    specs = {"int8": {"preset": "int8", "weights": QUICK_WEIGHTS}, "int4": {"preset": "int4", "gates": gates}}
    submitted = {
        preset: api.post("/v1/jobs", json={**ids, "spec": spec, "tags": {"branch": "main"}}).json()
        for preset, spec in specs.items()
    }
    return {preset: after_its_end(api, job) for preset, job in submitted.items()}


def upload(api: httpx.Client, kind: str, path: Path) -> str:
    """Upload a file under its name and return its id."""
    response = api.post(f"/v1/{kind}", content=path.read_bytes(), headers={"X-Filename": path.name})
    return response.json()["id"]


def after_its_end(api: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    """Wait for the end of a job and return it."""
    while job["status"] in ("queued", "running"):
        job = api.get(job["links"]["self"], headers={"Prefer": "wait=60"}).json()
    assert job["status"] == "succeeded", job["error"]
    return job


@pytest.fixture
def visit(chromium, served):
    """Return a function that opens a browser for one person, with the settings of Playwright's `new_context`."""
    with ExitStack() as visitors:

        def open_browser(**settings):
            return visitors.enter_context(visiting(chromium, served.url, **settings))

        yield open_browser


@pytest.fixture(scope="package")
def session(chromium, served):
    """The cookies of a person who has signed in as the tenant of `served`."""
    with visiting(chromium, served.url) as visitor:
        visitor.page.goto("/")
        sign_in(visitor.page, served.key)
        return visitor.context.storage_state()


@pytest.fixture
def page(visit, session):
    """A page of a person who has signed in."""
    return visit(storage_state=session).page
